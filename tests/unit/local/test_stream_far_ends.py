"""What is found wrong with events and resources, and what is not."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest

from local.demo.streams.change_events import ChangeEvents, event_problems
from local.demo.streams.fhir_state import Expected, expected, state_problems
from local.demo.streams.items import ADDRESS, MEASUREMENT, PATIENT, Image, Key
from local.demo.streams.plain_values import parsed, says
from local.demo.streams.plan import MODIFY, REMOVE, Change, Plan, draw

WRITES = 300


def _plain(image: Image) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{_value(value)}" for name, value in image.items()) + "}"


def _value(attribute: Any) -> str:
    ((kind, value),) = attribute.items()
    if kind == "N":
        return str(value)
    if kind == "M":
        return _plain(value)
    if kind in ("L", "NS", "SS"):
        parts = [one if kind == "L" else {kind[0]: one} for one in value]
        return f"[{','.join(map(_value, parts))}]"
    if kind == "B":
        return json.dumps(b64encode(value).decode())
    return json.dumps(None if kind == "NULL" else value)


def _event(number: int, change: Change) -> str:
    meta = {
        "eventId": f"event-{number}",
        "change": f"{change.key.item_type}{change.name.capitalize()}",
        "itemType": change.key.item_type,
        "id": change.key.id,
        "sk": change.key.sk,
        "stream": "2026-11-20T09:00:00.000",
        "sequenceNumber": str(10**20 + number),
        "inline": True,
    }
    old, new = change.old or {}, change.new or {}
    parts = {"meta": json.dumps(meta)}
    if change.new is not None:
        parts["new"] = _plain(new)
    if change.name == REMOVE:
        parts["old"] = _plain(old)
    if change.name == MODIFY:
        sides = {
            name: {side: _value(image[name]) for side, image in (("old", old), ("new", new)) if name in image}
            for name in old.keys() | new.keys()
            if old.get(name) != new.get(name)
        }
        parts["changed"] = _object({name: _object(told) for name, told in sides.items()})
    return f'{{"detail":{_object(parts)}}}'


def _object(parts: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in parts.items()) + "}"


def _unstored(bucket: str, key: str) -> bytes:
    raise AssertionError("nothing is referred to")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return draw("3", WRITES)


@pytest.fixture(scope="module")
def bodies(plan: Plan) -> list[str]:
    return [_event(number, change) for number, change in enumerate(plan.changes)]


def _problems(plan: Plan, bodies: list[str]) -> list[str]:
    events = ChangeEvents()
    events.add(bodies)
    return event_problems(plan, events.details(_unstored))


def test_events_of_all_changes_have_no_problems_in_whatever_order_and_how_often_they_come(
    plan: Plan, bodies: list[str]
) -> None:
    events = ChangeEvents()
    events.add([*reversed(bodies), *bodies[:7]])

    assert events.distinct == len(plan.changes)
    assert events.deliveries == len(plan.changes) + 7
    assert event_problems(plan, events.details(_unstored)) == []


def test_an_event_that_is_missing_is_found(plan: Plan, bodies: list[str]) -> None:
    (problem,) = _problems(plan, bodies[1:])

    assert str(plan.changes[0].key) in problem


@pytest.mark.parametrize(
    ("written", "instead"),
    [("36.6", "36.60"), ("9007199254740993", "9007199254740992"), ('"familyName":', '"familyname":')],
)
def test_a_value_that_is_told_otherwise_is_found(
    plan: Plan, bodies: list[str], written: str, instead: str
) -> None:
    number = next(n for n, body in enumerate(bodies) if f":{written}" in body or written in body)
    wrong = [*bodies[:number], bodies[number].replace(written, instead), *bodies[number + 1 :]]

    assert _problems(plan, wrong)


def test_changes_of_an_item_told_in_another_order_are_found(plan: Plan) -> None:
    history = next(history for history in plan.histories().values() if len(history) > 1)
    alone = Plan([write for write in plan.writes if write.key == history[0].key])
    numbered = list(enumerate(history))
    backwards = zip(range(len(history)), reversed(history), strict=True)

    assert _problems(alone, [_event(*one) for one in numbered]) == []
    assert _problems(alone, [_event(*one) for one in backwards])


def test_a_number_keeps_its_digits_and_a_set_has_no_order() -> None:
    image: Image = {"n": {"N": "0.00000000000000000001"}, "s": {"NS": ["2", "1"]}, "b": {"B": b"\xff"}}

    assert says(parsed('{"n":0.00000000000000000001,"s":[1,2],"b":"/w=="}'), image)
    assert says(parsed('{"n":1E-20,"s":[2,1],"b":"/w=="}'), image)
    assert not says(parsed('{"n":0.0,"s":[1,2],"b":"/w=="}'), image)
    assert not says(parsed('{"n":"0.00000000000000000001","s":[1,2],"b":"/w=="}'), image)


MUELLER: Image = {
    "familyName": {"S": "Müßig"},
    "givenNames": {"L": [{"S": "Žofie"}]},
    "active": {"BOOL": False},
}
HOME: Image = {"lines": {"L": [{"S": "Probeweg 1"}]}, "city": {"S": "Łódź"}}
FEVER: Image = {"id": {"S": "p1"}, "value": {"N": "38.4"}, "unit": {"S": "Cel"}, "status": {"S": "final"}}
PERSON, MEASURED = Key("p1", "PATIENT", PATIENT), Key("p1", "MEASUREMENT#1", MEASUREMENT)
PATIENT_TEXT = (
    '{"resourceType":"Patient","id":"p1","name":[{"family":"Müßig","given":["Žofie"]}],"active":false,'
    '"address":[{"line":["Probeweg 1"],"city":"Łódź"}]}'
)
VALUE_TEXT = (
    '{"resourceType":"Observation","status":"final","subject":{"reference":"Patient/p1"},'
    '"valueQuantity":{"value":38.4,"unit":"Cel"}}'
)


@pytest.mark.parametrize(
    ("one", "change"),
    [
        (Expected(PERSON, MUELLER, [HOME]), lambda text: text),
        (Expected(MEASURED, FEVER), lambda text: text),
        (Expected(MEASURED, None), lambda text: None),
    ],
)
def test_a_resource_that_says_what_the_items_say_is_right(
    one: Expected, change: Callable[[str], str | None]
) -> None:
    assert state_problems([one], {one.key: "it"}, _reading(one, change)) == []


@pytest.mark.parametrize(
    ("one", "change"),
    [
        (Expected(PERSON, MUELLER, [HOME]), lambda text: None),
        (Expected(PERSON, None), lambda text: text),
        (Expected(PERSON, MUELLER), lambda text: text),
        (Expected(PERSON, MUELLER, [HOME, HOME]), lambda text: text),
        (Expected(PERSON, MUELLER, [HOME]), lambda text: text.replace("Müßig", "Mussig")),
        (Expected(PERSON, MUELLER, [HOME]), lambda text: text.replace("false", "true")),
        (Expected(PERSON, MUELLER, [HOME]), lambda text: text.replace("Łódź", "Lodz")),
        (Expected(MEASURED, FEVER), lambda text: text.replace("38.4", "38.40")),
        (Expected(MEASURED, FEVER), lambda text: text.replace("38.4", '"38.4"')),
        (Expected(MEASURED, FEVER), lambda text: text.replace("p1", "p2")),
        (Expected(MEASURED, FEVER), lambda text: text.replace("Observation", "Basic")),
    ],
)
def test_a_resource_that_says_something_else_is_found(
    one: Expected, change: Callable[[str], str | None]
) -> None:
    assert state_problems([one], {one.key: "it"}, _reading(one, change))


def _reading(one: Expected, change: Callable[[str], str | None]) -> Callable[[str], bytes | None]:
    text = change(PATIENT_TEXT if one.key.item_type == PATIENT else VALUE_TEXT)
    return lambda name: None if text is None else text.encode()


def test_patients_and_measurements_are_expected_in_the_end_with_the_addresses_that_are_left() -> None:
    plan = draw("5", WRITES)
    found = {one.key: one for one in expected(plan)}

    assert {key for key in found if found[key].item is None} == {
        key for key in plan.removed if key.item_type != ADDRESS
    }
    assert sum(len(one.addresses) for one in found.values() if one.item) == len(
        [
            key
            for key in plan.final
            if key.item_type == ADDRESS and Key(key.id, "PATIENT", PATIENT) in plan.final
        ]
    )
