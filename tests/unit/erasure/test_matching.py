"""Whether a line, a row or a text concerns a patient, and why."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.erasure.matching import Concern, Match, Matcher, is_patient_id

MATCHER = Matcher("p-1")


def line(resource_type: str, **members: Any) -> bytes:
    return json.dumps({"resourceType": resource_type, "id": "x", **members}).encode()


def reference(to: str) -> dict[str, str]:
    return {"reference": to}


OTHERS = [{"entity": reference("Patient/p-1")}, {"entity": reference("Patient/p-2")}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"resourceType":"Patient","id":"p-1"}', Match(Concern.COMPARTMENT, "Patient/p-1")),
        (b'{"resourceType":"Patient","id":"p\\u002d1"}', Match(Concern.COMPARTMENT, "Patient/p-1")),
        (
            line("Observation", subject=reference("Patient/p-1")),
            Match(Concern.COMPARTMENT, "Observation/x"),
        ),
        (line("Group", member=OTHERS), Match(Concern.COMPARTMENT, "Group/x", shared=True)),
        (
            line("Library", subjectReference=reference("Patient/p-1")),
            Match(Concern.REFERENCE, "Library/x"),
        ),
        (line("Library", description="for Patient/p-1."), Match(Concern.MENTION, "Library/x")),
        (line("Library", url="https://other.example/Patient/p-1"), Match(Concern.MENTION, "Library/x")),
        (b'{"resourceType":"Patient","id":"p-1"', Match(Concern.UNREADABLE)),
        ('{"id":"p-1"}'.encode("utf-16-le"), Match(Concern.UNREADABLE)),
        (line("Observation", subject=reference("Patient/p-10")), None),
        (line("Library", description="for Patient/p-1.5"), None),
        (b'{"resourceType":"Device","id":"p-1"}', None),
        (b'{"resourceType":"Patient","id":"p-2"', None),
    ],
)
def test_a_line_concerns_the_patient_or_does_not(text: bytes, expected: Match | None) -> None:
    assert MATCHER.of_line(text) == expected


def test_a_mention_is_told_of_and_not_erased() -> None:
    assert [concern for concern in Concern if not Match(concern).erases] == [Concern.MENTION]


def test_a_row_is_of_whom_its_column_names_as_well() -> None:
    """A row that was written by an earlier table of the compartment."""
    text = line("Library", description="of p-1")
    assert MATCHER.of_row(["p-1"], text) == Match(Concern.COMPARTMENT)
    assert MATCHER.of_row(["p-1", "p-2"], text) == Match(Concern.COMPARTMENT, shared=True)
    assert MATCHER.of_row(["p-2"], text) is None


@pytest.mark.parametrize(("text", "possible"), [("p-1", True), ("a.B-9", True), ("", False), ("a b", False)])
def test_ids_are_those_of_fhir(text: str, *, possible: bool) -> None:
    assert is_patient_id(text) is possible
