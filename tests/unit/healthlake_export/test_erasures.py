"""What names a patient that was erased."""

from __future__ import annotations

import pytest

from healthlake_export.erasures import is_erasure, lock_owner, mentions, mentions_in, names, refers

ERASED = frozenset({"p-1", "0cc175b9-c0f1-4b6a-831c-399e26977266"})


@pytest.mark.parametrize(
    "text",
    [
        b'{"subject": {"reference": "Patient/p-1"}}',
        b'{"reference": "https://fhir.example/r4/Patient/p-1/_history/3"}',
        b'{"reference": "Patient\\/p-1"}',
        b'{"reference": "Patient/p\\u002d1"}',
        b'{"reference": "urn:uuid:0cc175b9-c0f1-4b6a-831c-399e26977266"}',
        b'{"resourceType": "Patient", "id": "p-1"',
        b'{"text": "the son of Patient/p-1."}',
        b'{"embedded": "{\\"id\\":\\"p-1\\"}"}',
        b'cut off within {"id": "p-1',
        '{"id": "p-1"}'.encode("utf-16"),
        b'\xff{"id": "p-1"}',
    ],
)
def test_a_text_that_names_an_erased_patient_in_any_of_its_forms_mentions_it(text: bytes) -> None:
    assert mentions(text, ERASED)


@pytest.mark.parametrize(
    "text",
    [
        b'{"subject": {"reference": "Patient/p-10"}}',
        b'{"subject": {"reference": "Patient/p-1.2"}}',
        b'{"subject": {"reference": "Group/p-1"}}',
        b'{"id": "xp-1"}',
        b'{"text": "p-1 is a word like any other"}',
        b"",
    ],
)
def test_another_id_that_resembles_it_is_no_mention(text: bytes) -> None:
    assert not mentions(text, ERASED)


def test_nobody_is_mentioned_where_nobody_was_erased() -> None:
    assert not mentions(b'"Patient/p-1"', frozenset())
    assert not mentions_in([b'"Patient/p-1"'], frozenset())


@pytest.mark.parametrize("size", [1, 7, 600, 100_000])
def test_a_mention_is_found_however_a_long_text_is_cut(size: int) -> None:
    text = b"x" * 1000 + b'"reference": "Patient/p-1"' + b"y" * 1000
    chunks = [text[start : start + size] for start in range(0, len(text), size)]

    assert mentions_in(chunks, ERASED)
    assert not mentions_in(chunks, frozenset({"p-2"}))


def test_a_resource_names_whoever_is_among_its_patients() -> None:
    assert names(("p-2", "p-1"), ERASED)
    assert not names(("p-2",), ERASED)
    assert not names((), ERASED)


@pytest.mark.parametrize(
    "text",
    [
        b'{"resourceType":"Library","subjectReference":{"reference":"Patient/p-1"}}',
        b'{"resourceType":"Library","subjectReference":{"reference":"Patient/p-1/_history/2"}}',
        b'{"resourceType":"Library","subjectReference":{"reference":"Patient\\/p\\u002d1"}}',
        b'{"reference":"urn:uuid:0cc175b9-c0f1-4b6a-831c-399e26977266"}',
    ],
)
def test_a_reference_anywhere_in_a_resource_refers_to_the_patient(text: bytes) -> None:
    assert refers(text, ERASED)
    assert refers(text, ERASED | {f"q-{number}" for number in range(100)})
    assert not refers(text, frozenset({"p-2"}))
    assert not refers(text, frozenset())


@pytest.mark.parametrize(
    "text",
    [
        b'{"resourceType":"Library","id":"p-1"}',
        b'{"text":"like Patient/p-1, who"}',
        b'{"reference":"https://other.example/r4/Patient/p-1"}',
        b'{"reference":"Patient/p-12"}',
    ],
)
def test_ids_of_others_words_and_other_servers_refer_to_nobody(text: bytes) -> None:
    assert not refers(text, ERASED)


def test_an_erasure_is_told_from_an_execution_by_the_name_it_locks_with() -> None:
    assert is_erasure(lock_owner("1"))
    assert not is_erasure("arn:aws:states:us-east-1:123456789012:execution:hub-export:erase")
    assert not is_erasure(None)
