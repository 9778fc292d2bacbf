"""Keys with patients: one decoder for all types, whole blocks of lines, and references of any shape."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.byte_spans import ByteSpans
from healthlake_export.compartment_keys import KeyReader, LooseKeys, patient_columns, patient_ids
from healthlake_export.fhir_r4 import RESOURCE_TYPES
from healthlake_export.ndjson import LineBlock, RangeLines
from healthlake_export.patient_compartment import patient_id, reference_paths
from healthlake_export.resource_keys import MAX_DEPTH, Rejection, ResourceKeys, read_keys
from local.testing.line_mutations import mutated_line, resource_lines

READER = KeyReader()
PATHS = [
    (resource_type, path)
    for resource_type in sorted(RESOURCE_TYPES)
    for path in reference_paths(resource_type)
]


def resource(resource_type: str, **members: object) -> bytes:
    return json.dumps({"resourceType": resource_type, "id": "r1", **members}).encode()


def naming(path: str, patient: str) -> dict[str, Any]:
    """The members that lead along `path` to a reference to `patient`."""
    value: dict[str, Any] = {"reference": f"Patient/{patient}"}
    for step in reversed(path.split(".")):
        name = step.removesuffix("[]")
        value = {name: value if name == step else [{}, value]}
    return value


def keys_of(text: bytes) -> ResourceKeys:
    keys = READER.read(text)
    assert isinstance(keys, ResourceKeys)
    return keys


def block_of(*texts: bytes) -> ByteSpans:
    """Lines as they lie in a file, one after the other."""
    ends = list(accumulate(len(text) + 1 for text in texts))
    begins = [end - 1 - len(text) for end, text in zip(ends, texts, strict=True)]
    return ByteSpans(b"".join(text + b"\n" for text in texts), begins, [end - 1 for end in ends])


def patients_of(text: bytes) -> tuple[str, ...]:
    return patient_ids(keys_of(text))


def in_lists(columns: tuple[list[str], Sequence[int]]) -> list[tuple[str, ...]]:
    """An Arrow list column as what it says of each row."""
    values, offsets = columns
    assert offsets[0] == 0
    assert offsets[-1] == len(values)
    return [tuple(values[begin:end]) for begin, end in pairwise(offsets)]


@pytest.mark.parametrize(("resource_type", "path"), PATHS)
def test_a_patient_is_found_at_every_path_of_the_table(resource_type: str, path: str) -> None:
    keys = keys_of(resource(resource_type, **naming(path, "p1")))
    assert not isinstance(keys, LooseKeys)
    own = ("r1",) if resource_type == "Patient" else ()
    assert patient_ids(keys) == (*own, "p1")
    assert in_lists(patient_columns([keys])) == [(*own, "p1")]


@pytest.mark.parametrize(("resource_type", "path"), PATHS)
def test_a_patient_is_found_where_lists_are_objects_and_objects_are_lists(
    resource_type: str, path: str
) -> None:
    turned = ".".join(step.removesuffix("[]") if "[]" in step else f"{step}[]" for step in path.split("."))
    keys = keys_of(resource(resource_type, **naming(turned, "p1")))
    assert isinstance(keys, LooseKeys)
    assert "p1" in patient_ids(keys)


@pytest.mark.parametrize("resource_type", sorted(RESOURCE_TYPES))
def test_a_resource_of_every_type_is_read_without_any_reference(resource_type: str) -> None:
    keys = keys_of(resource(resource_type, meta={"versionId": "2"}))
    assert (keys.resourceType, keys.id, keys.meta and keys.meta.versionId) == (resource_type, "r1", "2")
    assert patient_ids(keys) == (("r1",) if resource_type == "Patient" else ())


def test_patients_come_in_the_order_of_the_table_and_each_once() -> None:
    performers = [{"reference": f"Patient/{name}"} for name in ("b", "a", "c", "b")]
    assert patients_of(resource("Observation", performer=performers, subject=performers[1])) == (
        "a",
        "b",
        "c",
    )


def test_a_patient_names_itself_before_those_it_is_linked_to() -> None:
    link = [{"other": {"reference": f"Patient/{name}"}, "type": "seealso"} for name in ("r1", "p2")]
    assert patients_of(resource("Patient", link=link)) == ("r1", "p2")


@pytest.mark.parametrize(
    "subject",
    [
        {"type": "Patient", "identifier": {"value": "1"}},
        {"reference": "#p", "type": "Patient"},
        {"reference": "Group/1"},
        {"display": "Patient/1"},
        {"reference": None},
        {"reference": 7},
        {"reference": ["x"]},
        {},
        None,
        [],
        7,
        1e300,
        "p1",
        True,
    ],
)
def test_a_subject_that_names_no_patient_costs_nothing_but_the_patient(subject: object) -> None:
    assert patients_of(resource("Observation", subject=subject, status="final")) == ()


@pytest.mark.parametrize(
    "text",
    [
        b'{"resourceType":"Observation","id":"r1","subject":"Patient/p1"}',
        b'{"resourceType":"Observation","id":"r1","subject":{"reference":"Patient/p1","a":1e999}}',
        b'{"resourceType":"Observation","id":"r1","subject":[[{"reference":"Patient/p1"}]]}',
        b'{"resourceType":"Observation","id":"r1","subject":5,"performer":[7,{"reference":"Patient/p1"}]}',
        b'{"resourceType":"Observation","id":"r1","performer":[null,{"reference":"Patient/p1"}]}',
        b'{"resourceType":"Person","resourceType":"Observation","id":"r1","subject":{"reference":"Patient/p1"}}',
    ],
)
def test_the_patients_that_can_be_found_are_found(text: bytes) -> None:
    keys = keys_of(text)
    assert (keys.resourceType, keys.id) == ("Observation", "r1")
    assert patient_ids(keys) == ("p1",)


def test_patients_of_loose_references_come_in_their_order() -> None:
    subjects = [{"reference": "Patient/b"}, [{"reference": "Patient/a"}, {"reference": "Patient/b"}]]
    assert patients_of(resource("Flag", subject=subjects)) == ("b", "a")


def test_of_a_member_that_occurs_twice_the_last_one_counts() -> None:
    one = b'"subject":{"reference":"Patient/%d"}'
    line = b'{"resourceType":"Flag","id":"r1",%b}'
    assert patients_of(line % (one % 1 + b"," + one % 2)) == ("2",)
    assert patients_of(line % (one % 1 + b"," + one % 2 + b',"subject":[' + (one % 3)[10:] + b"]")) == ("3",)


def test_no_member_of_a_resource_can_pass_for_its_type() -> None:
    members = {"the resource type of the Struct": "Observation"}
    assert keys_of(resource("Patient", **members)).resourceType == "Patient"


def test_lists_that_nest_as_deeply_as_may_be_are_searched() -> None:
    inner = b'{"reference":"Patient/p1"}'
    levels = MAX_DEPTH - 2
    text = b'{"resourceType":"Flag","id":"r1","subject":%b%b%b}' % (b"[" * levels, inner, b"]" * levels)
    assert patients_of(text) == ("p1",)


BAD: Mapping[bytes, Rejection] = {
    b'{"resourceType":"Patient","id":"p1"': Rejection.NOT_JSON,
    b'{"resourceType":"Patient","id":"p1","a":"\xff"}': Rejection.NOT_UTF8,
    b'{"resourceType":"Patient","id":"p1","a":"\\ud800"}': Rejection.NOT_JSON,
    b"[]": Rejection.NOT_AN_OBJECT,
    b'{"id":"p1"}': Rejection.NO_RESOURCE_TYPE,
    b'{"resourceType":"Patient"}': Rejection.NO_ID,
    b'{"resourceType":"Patient","id":""}': Rejection.NO_ID,
    b'{"resourceType":"Pat","id":"p1"}': Rejection.UNKNOWN_TYPE,
    b'{"resourceType":"Patient","id":"p1","meta":7}': Rejection.WRONG_TYPE,
    b'{"resourceType":"Patient","id":"p1","a":%b}'
    % (b"[" * (MAX_DEPTH + 9) + b"]" * (MAX_DEPTH + 9)): Rejection.TOO_DEEP,
    b'{"resourceType":"Patient","id":"p1","a":%b}' % (b"[" * 20_000 + b"]" * 20_000): Rejection.TOO_DEEP,
}


@pytest.mark.parametrize(
    "text", BAD, ids=[f"{number}-{reason}" for number, reason in enumerate(BAD.values())]
)
def test_a_block_with_a_bad_line_has_to_be_read_line_by_line(text: bytes) -> None:
    assert READER.read(text) is BAD[text]
    assert READER.read_block(block_of(resource("Patient"), text)) is None


def test_a_block_with_a_reference_of_another_shape_has_to_be_read_line_by_line() -> None:
    assert READER.read_block(block_of(resource("Flag"), resource("Flag", subject=[]))) is None


def test_a_block_of_all_types_is_read_as_its_lines_are() -> None:
    texts = resource_lines(400)
    keys = READER.read_block(block_of(*texts))
    assert keys is not None
    assert keys == [READER.read(text) for text in texts]
    assert in_lists(patient_columns(keys)) == [patient_ids(one) for one in keys]
    assert len({one.resourceType for one in keys}) > 5


def test_text_of_other_alphabets_is_plain() -> None:
    texts = ['{"resourceType":"Patient","id":"p1","a":"é😀"}'.encode(), resource("Patient")]
    assert READER.read_block(block_of(*texts)) is not None


def test_two_values_on_one_line_do_not_make_up_for_a_value_on_two() -> None:
    whole = resource("Flag", a=[{}, {"b": {}}, {"c": "}{"}], d={})
    for at in range(len(whole) + 1):
        content = whole * 2 + b"\n" + whole[:at] + b"\n" + whole[at:] + b"\n"
        for part in RangeLines([content], start=0, end=len(content)).blocks():
            assert not isinstance(part, LineBlock) or READER.read_block(part.texts) is None


def test_an_empty_block_has_no_keys() -> None:
    assert READER.read_block(block_of()) == []
    assert in_lists(patient_columns([])) == []


NAMES = st.sampled_from(["Patient/1", "Patient/2", "Patient/3/_history/1", "Group/1", "#p", ""])
REFERENCES: st.SearchStrategy[dict[str, str]] = st.builds(lambda name: {"reference": name}, NAMES) | st.just(
    {}
)
RESOURCES: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "Condition": st.fixed_dictionaries({}, optional={"subject": REFERENCES, "asserter": REFERENCES}),
    "Encounter": st.fixed_dictionaries({}, optional={"subject": REFERENCES}),
    "Observation": st.fixed_dictionaries(
        {}, optional={"subject": REFERENCES, "performer": st.lists(REFERENCES, max_size=3)}
    ),
    "Account": st.fixed_dictionaries({}, optional={"subject": st.lists(REFERENCES, max_size=3)}),
    "Patient": st.fixed_dictionaries(
        {}, optional={"link": st.lists(st.builds(lambda of: {"other": of}, REFERENCES))}
    ),
    "Organization": st.just({}),
    "CarePlan": st.fixed_dictionaries(
        {},
        optional={
            "subject": REFERENCES,
            "activity": st.lists(
                st.builds(lambda of: {"detail": {"performer": of}}, st.lists(REFERENCES, max_size=2)),
                max_size=2,
            ),
        },
    ),
}


@pytest.mark.parametrize("resource_type", RESOURCES)
@given(data=st.data())
def test_columns_of_one_type_say_what_each_resource_says(resource_type: str, data: st.DataObject) -> None:
    members = data.draw(st.lists(RESOURCES[resource_type], min_size=1, max_size=6))
    keys = READER.read_block(block_of(*(resource(resource_type, **one) for one in members)))
    assert keys is not None
    assert in_lists(patient_columns(keys)) == [patient_ids(one) for one in keys]


def test_columns_of_many_types_and_shapes_say_what_each_resource_says() -> None:
    shapes: list[object] = [[{"reference": "Patient/1"}], {}, "Patient/2"]
    keys = [keys_of(resource("Flag", subject=shape)) for shape in shapes]
    keys.append(keys_of(resource("Patient")))
    assert in_lists(patient_columns(keys)) == [("1",), (), ("2",), ("r1",)]


@given(rest=st.text(alphabet="aé9-_./?#| \u2003", max_size=5))
def test_a_reference_is_understood_in_one_way_however_quickly(rest: str) -> None:
    reference = f"Patient/{rest}"
    keys = keys_of(resource("Flag", subject={"reference": reference}))
    assert patient_ids(keys) == tuple(filter(None, [patient_id(reference)]))


def test_reading_with_patients_rejects_and_accepts_what_reading_without_does() -> None:
    random = Random("keys")
    sound = resource_lines(300)
    for _ in range(6_000):
        text = mutated_line(random, random.choice(sound))
        with_patients, without = READER.read(text), read_keys(text)
        if isinstance(without, Rejection):
            assert with_patients is without
        else:
            assert isinstance(with_patients, ResourceKeys)
            assert (with_patients.resourceType, with_patients.id, with_patients.meta) == (
                without.resourceType,
                without.id,
                without.meta,
            )
