"""Records of a stream, read again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dlq_redrive.failure_records import Position
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.stream_filters import meant_records
from dlq_redrive.stream_records import read_records

STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/records/stream/1"


def record(number: int) -> dict[str, Any]:
    return {
        "eventID": f"e{number}",
        "eventName": "INSERT",
        "dynamodb": {
            "ApproximateCreationDateTime": datetime(2026, 3, 1, 12, tzinfo=UTC),
            "Keys": {"id": {"S": str(number)}},
            "NewImage": {"value": {"N": "1.10"}, "octets": {"B": b"\x00\xff"}},
            "SequenceNumber": str(number),
        },
    }


class FakeStream:
    """A shard that gives its records a few at a time, with empty answers between."""

    def __init__(self, numbers: list[int], refusal: str | None = None) -> None:
        self.numbers = numbers
        self.refusal = refusal

    def get_shard_iterator(self, **request: Any) -> dict[str, str]:
        if self.refusal is not None:
            raise ClientError({"Error": {"Code": self.refusal}}, "GetShardIterator")
        assert request["ShardIteratorType"] == "AT_SEQUENCE_NUMBER"
        return {"ShardIterator": f"{self.numbers.index(int(request['SequenceNumber'])) * 2}"}

    def get_records(self, *, ShardIterator: str) -> dict[str, Any]:  # noqa: N803
        step = int(ShardIterator)
        found = [record(self.numbers[step // 2])] if step % 2 == 0 else []
        more = {"NextShardIterator": str(step + 1)} if step + 1 < 2 * len(self.numbers) else {}
        return {"Records": found, **more}


def position(start: int, end: int, size: int = 0) -> Position:
    return Position(STREAM, "shard", str(start), str(end), size)


def test_the_records_of_the_batch_are_read_and_no_others() -> None:
    found = read_records(FakeStream([1, 2, 3, 4, 5]), position(2, 4, 3))
    assert isinstance(found, list)
    assert [one["dynamodb"]["SequenceNumber"] for one in found] == ["2", "3", "4"]


def test_a_record_has_the_shape_in_which_functions_get_it() -> None:
    found = read_records(FakeStream([1]), position(1, 1))
    assert isinstance(found, list)
    (one,) = found
    assert one["eventSourceARN"] == STREAM
    assert one["dynamodb"]["ApproximateCreationDateTime"] == 1772366400
    assert one["dynamodb"]["NewImage"] == {"value": {"N": "1.10"}, "octets": {"B": "AP8="}}


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ("TrimmedDataAccessException", Reason.POSITION_EXPIRED),
        ("ResourceNotFoundException", Reason.POSITION_UNREADABLE),
        ("ValidationException", Reason.POSITION_UNREADABLE),
    ],
)
def test_what_the_stream_does_not_have_is_a_reason(refusal: str, reason: Reason) -> None:
    assert read_records(FakeStream([1], refusal), position(1, 1)) is reason


def test_any_other_refusal_is_let_through() -> None:
    with pytest.raises(ClientError, match="LimitExceeded"):
        read_records(FakeStream([1], "LimitExceededException"), position(1, 1))


def test_a_batch_whose_end_is_missing_is_unreadable() -> None:
    assert read_records(FakeStream([1, 2]), position(1, 3)) is Reason.POSITION_UNREADABLE


def filters(*patterns: Any) -> dict[str, Any]:
    return {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}


def meant(size: int, *criteria: Any) -> list[str] | Reason:
    names = ["INSERT", "MODIFY", "REMOVE"]
    records = [{"eventName": name} for name in names]
    found = meant_records(position(1, 3, size), records, lambda: list(criteria))
    return found if isinstance(found, Reason) else [one["eventName"] for one in found]


@pytest.mark.parametrize("size", [2, 1])
def test_records_between_those_of_a_batch_are_given_with_them(size: int) -> None:
    assert meant(size, None) == ["INSERT", "MODIFY", "REMOVE"]


def test_records_that_a_filter_on_the_event_leaves_out_are_not_given() -> None:
    two = filters({"eventName": ["INSERT"]}, {"eventName": ["REMOVE"]})
    assert meant(2, two) == ["INSERT", "REMOVE"]
    assert meant(1, two) == ["INSERT", "REMOVE"]


@pytest.mark.parametrize(
    "criteria",
    [
        [],
        [None, None],
        [filters({"eventName": ["INSERT"]})],
        [filters({"eventName": [{"prefix": "I"}]})],
        [filters({"eventName": ["INSERT"], "dynamodb": {"Keys": {"id": {"S": ["1"]}}}})],
        [{"Filters": [{}]}],
    ],
    ids=["no reader", "two readers", "lets too few through", "a prefix", "a key", "not shown"],
)
def test_a_batch_among_records_that_the_reader_may_never_be_given_is_not_guessed_at(
    criteria: list[Any],
) -> None:
    assert meant(2, *criteria) is Reason.POSITION_SHARED


def test_a_batch_that_is_alone_in_its_range_needs_no_filter() -> None:
    assert meant(3) == ["INSERT", "MODIFY", "REMOVE"]
