"""What templates put in comes out of the JSON as it was, and can be nothing else than a value."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transitions.templates import META, BodyTemplate, KeyTemplate, UnknownName

FACTS = {name: f"<{name}>" for name in META}
DECLARED = frozenset({"note", "count"})


def rendered(body: Any, new: dict[str, Any], old: dict[str, Any] | None = None) -> Any:
    text = BodyTemplate.parse(body, DECLARED).render(FACTS, {"new": new, "old": old or {}})
    return json.loads(text, parse_float=Decimal)


@given(st.text())
def test_no_text_breaks_out_of_its_place(note: str) -> None:
    try:
        note.encode()
    except UnicodeEncodeError:
        return
    body = rendered({"whole": "${new.note}", "within": "a ${new.note} b", "end": 1}, {"note": note})
    assert body == {"whole": note, "within": f"a {note} b", "end": 1}


def test_a_place_that_is_the_whole_text_becomes_the_value_itself() -> None:
    new = {"count": msgspec.Raw(b"1.10"), "note": ["a", {"b": None}]}
    assert rendered(["${new.count}", "${new.note}"], new) == [Decimal("1.10"), ["a", {"b": None}]]


def test_a_number_keeps_its_digits_within_a_text() -> None:
    assert rendered("${new.count} of ${old.count}", {"count": msgspec.Raw(b"1.10")}) == "1.10 of "


def test_what_is_absent_is_null_or_nothing() -> None:
    assert rendered(["${new.note}", "<${new.note}>"], {}) == [None, "<>"]


def test_what_is_put_in_is_not_read_as_a_template_again() -> None:
    assert rendered("${new.note}!", {"note": "${meta.id}"}) == "${meta.id}!"


def test_a_dollar_sign_escapes_a_place() -> None:
    assert rendered("$${new.note} ${meta.rule} $5", {}) == "${new.note} <rule> $5"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("${new.secret}", "carry does not declare"),
        ({"deep": ["${old.secret}"]}, "carry does not declare"),
        ("${meta.secret}", "is none of meta"),
        ("${note}", "is none of meta"),
        ("${}", "is none of meta"),
        ("${new.note", "nothing closes"),
        ("${new.${new.note}}", "nothing closes"),
    ],
)
def test_an_unknown_name_is_refused(body: Any, why: str) -> None:
    with pytest.raises(UnknownName, match=why):
        BodyTemplate.parse(body, DECLARED)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("done.json", "must name meta.transitionId"),
        ("${new.note}/${meta.transitionId}", "where none belongs"),
        ("${meta.id}/${meta.transitionId}", "names id"),
        ("${meta.time}/${meta.transitionId}", "names time"),
        ("/${meta.transitionId}", "empty part"),
        ("a//${meta.transitionId}", "empty part"),
        ("../${meta.transitionId}", "empty part or dots"),
        ("a b/${meta.transitionId}", "other than letters"),
    ],
)
def test_a_key_that_could_tell_of_content_or_be_anothers_is_refused(key: str, why: str) -> None:
    with pytest.raises(UnknownName, match=why):
        KeyTemplate.parse(key)


def test_a_key_is_made_of_what_names_the_transition() -> None:
    key = KeyTemplate.parse("done/${meta.itemHash}/${meta.transitionId}.json")
    assert key.render({"itemHash": "ab", "transitionId": "cd"}) == "done/ab/cd.json"
