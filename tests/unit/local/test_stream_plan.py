"""Writes drawn from a seed, and what they must lead to."""

from decimal import Context, Decimal
from typing import Any

import pytest

from local.demo.streams.items import ADDRESS, MEASUREMENT, PATIENT, Key
from local.demo.streams.plan import INSERT, MODIFY, REMOVE, Plan, draw
from local.demo.streams.table_writes import make

WRITES = 2000


class _Table:
    """A table with a stream: what DynamoDB's guide says of each request, and nothing that the plan knows."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Any] = {}
        self.records: list[tuple[str, str, str]] = []

    def put_item(self, **request: Any) -> None:
        item = request["Item"]
        self._become((item["id"]["S"], item["sk"]["S"]), dict(item))

    def delete_item(self, **request: Any) -> None:
        key = request["Key"]
        self._become((key["id"]["S"], key["sk"]["S"]), None)

    def update_item(self, **request: Any) -> None:
        key = (request["Key"]["id"]["S"], request["Key"]["sk"]["S"])
        new = dict(self.items.get(key, request["Key"]))
        for setting in request["UpdateExpression"].removeprefix("SET ").split(", "):
            name, value = setting.split(" = ")
            attribute = request["ExpressionAttributeNames"][name]
            new[attribute] = request["ExpressionAttributeValues"][value]
        self._become(key, new)

    def _become(self, key: tuple[str, str], new: Any) -> None:
        old = self.items.pop(key, None)
        if new is not None:
            self.items[key] = new
        if new != old:
            self.records.append((REMOVE if new is None else INSERT if old is None else MODIFY, *key))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return draw("7", WRITES)


@pytest.fixture(scope="module")
def table(plan: Plan) -> _Table:
    table = _Table()
    make(plan.writes, table, "records")
    return table


def test_the_same_seed_draws_the_same_writes(plan: Plan) -> None:
    assert draw("7", WRITES) == plan
    assert draw("8", WRITES) != plan


def test_a_table_ends_as_the_plan_says(plan: Plan, table: _Table) -> None:
    assert table.items == {(key.id, key.sk): dict(state) for key, state in plan.final.items()}


def test_a_stream_without_internal_items_tells_the_changes_of_the_plan(plan: Plan, table: _Table) -> None:
    told = [record for record in table.records if not record[2].startswith("#")]

    assert told == [(change.name, change.key.id, change.key.sk) for change in plan.changes]


def test_the_images_of_an_item_follow_each_other(plan: Plan) -> None:
    for history in plan.histories().values():
        assert [change.old for change in history] == [None, *(change.new for change in history[:-1])]


def test_every_kind_of_write_is_drawn(plan: Plan) -> None:
    kinds = {
        (write.key.item_type, write.operation, write.change)
        for write in plan.writes
        if not write.key.internal
    }

    assert kinds == {
        (name, *kind)
        for name in (PATIENT, ADDRESS, MEASUREMENT)
        for kind in [
            ("put", INSERT),
            ("put", MODIFY),
            ("put", None),
            ("update", MODIFY),
            ("update", None),
            ("delete", REMOVE),
            ("delete", None),
        ]
    }
    assert any(write.key.internal for write in plan.writes)
    assert {change.key for change in plan.changes if change.name == INSERT} & plan.removed
    again = [history for history in plan.histories().values() if sum(c.name == INSERT for c in history) > 1]
    assert again


def test_numbers_are_such_as_dynamodb_gives_back(plan: Plan) -> None:
    context = Context(prec=38)
    numbers = [
        value["N"] for change in plan.changes if change.new for value in change.new.values() if "N" in value
    ]

    assert all(f"{context.create_decimal(number).normalize(context):f}" == number for number in numbers)
    assert max(len(Decimal(number).as_tuple().digits) for number in numbers) == 38


def test_an_item_of_an_application_is_internal() -> None:
    assert Key("a", "#LOCK", "Lock").internal
    assert not Key("a", "PATIENT", PATIENT).internal
