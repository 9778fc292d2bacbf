"""Where each kind of dead letter belongs."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from dlq_redrive.arns import Home
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.ways_back import (
    ReadAgain,
    ToBus,
    ToFunction,
    ToQueue,
    ToStateMachine,
    Ways,
    function_and_qualifier,
)

HERE = "us-east-1:123456789012"
WORK = f"arn:aws:sqs:{HERE}:hub-work"
OTHER = f"arn:aws:sqs:{HERE}:hub-other"
FUNCTION = f"arn:aws:lambda:{HERE}:function:clean"
MACHINE = f"arn:aws:states:{HERE}:stateMachine:export"
STREAM = f"arn:aws:dynamodb:{HERE}:table/records/stream/2026-03-01T00:00:00.000"
PIPE = f"arn:aws:pipes:{HERE}:pipe/records"

Back = Callable[..., Any]


@pytest.fixture
def back(queue_of: Any, letter_with: Any, home: Home, noon: datetime) -> Back:
    """The way back of a message of a kind."""

    def find(
        kind: str, body: Any = "body", *sources: str, destination: str | None = None, **given: Any
    ) -> Any:
        ways = Ways(queue_of(kind, *sources), home, "hub-events", destination)
        return ways.back(letter_with(body, **given), noon)

    return find


def test_a_message_goes_to_the_queue_that_it_died_in(back: Back) -> None:
    died_in = {"DeadLetterQueueSourceArn": OTHER}
    assert back("sqs", "b", WORK, OTHER, attributes=died_in) == ToQueue(OTHER)


def test_a_message_that_does_not_say_goes_to_the_only_source(back: Back) -> None:
    assert back("sqs", "b", WORK) == ToQueue(WORK)


def test_a_message_goes_to_where_it_was_asked_to(back: Back) -> None:
    died_in = {"DeadLetterQueueSourceArn": WORK}
    assert back("sqs", "b", WORK, destination=OTHER, attributes=died_in) == ToQueue(OTHER)


def test_a_source_is_never_guessed(back: Back) -> None:
    assert back("sqs", "b", WORK, OTHER) is Reason.SEVERAL_SOURCES
    assert back("sqs", "b") is Reason.SOURCE_UNKNOWN


@pytest.mark.parametrize(
    ("target", "way"),
    [
        (WORK, ToQueue(WORK, with_attributes=False)),
        (FUNCTION, ToFunction(FUNCTION, b'{"id": "e"}')),
        (MACHINE, ToStateMachine(MACHINE, '{"id": "e"}')),
        (f"{WORK}.fifo", Reason.TARGET_NOT_SUPPORTED),
        (f"arn:aws:sns:{HERE}:topic", Reason.TARGET_NOT_SUPPORTED),
        (f"arn:aws:events:{HERE}:event-bus/hub", Reason.TARGET_NOT_SUPPORTED),
        (WORK.replace("1234", "9999"), Reason.TARGET_ELSEWHERE),
        (WORK.replace("east", "west"), Reason.TARGET_ELSEWHERE),
        ("text", Reason.TARGET_UNKNOWN),
    ],
)
def test_an_event_of_a_rule_goes_to_the_target_that_failed_and_nowhere_else(
    back: Back, target: str, way: Any
) -> None:
    assert back("rule", '{"id": "e"}', message_attributes={"TARGET_ARN": target}) == way


def test_an_event_of_a_rule_without_a_target_has_no_way(back: Back) -> None:
    assert back("rule", "{}") is Reason.TARGET_UNKNOWN


def test_an_invocation_is_made_again_with_the_very_bytes_of_its_payload(back: Back) -> None:
    body = f'{{"requestContext": {{"functionArn": "{FUNCTION}:live"}}, "requestPayload": {{"v": 1.10}}}}'
    assert back("async", body) == ToFunction(f"{FUNCTION}:live", b'{"v": 1.10}')


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        (FUNCTION, (FUNCTION, None)),
        (f"{FUNCTION}:$LATEST", (FUNCTION, None)),
        (f"{FUNCTION}:live", (FUNCTION, "live")),
        (f"{FUNCTION}:7", (FUNCTION, "7")),
    ],
)
def test_a_function_keeps_its_qualifier(arn: str, expected: tuple[str, str | None]) -> None:
    assert function_and_qualifier(arn) == expected


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"some": "event"}, Reason.FUNCTION_UNKNOWN),
        ("no json", Reason.FUNCTION_UNKNOWN),
        ({"requestContext": {"functionArn": WORK}, "requestPayload": {}}, Reason.FUNCTION_UNKNOWN),
        ({"requestContext": {"functionArn": FUNCTION}}, Reason.PAYLOAD_MISSING),
        (
            {"requestContext": {"functionArn": FUNCTION.replace("1234", "9999")}, "requestPayload": {}},
            Reason.TARGET_ELSEWHERE,
        ),
    ],
)
def test_an_invocation_that_does_not_say_of_what_has_no_way(back: Back, record: Any, reason: Reason) -> None:
    attributes = {"RequestID": "r", "ErrorCode": "200", "ErrorMessage": "m"}
    assert back("async", record, message_attributes=attributes) is reason


def test_the_bare_event_of_a_function_goes_to_the_function_that_is_named(back: Back) -> None:
    assert back("async", '{"a": 1}', destination=FUNCTION) == ToFunction(
        FUNCTION, b'{"a": 1}', asked_for=True
    )


@pytest.mark.parametrize(
    ("target", "body", "way"),
    [
        (MACHINE, '{"startedBy": "schedule"}', ToStateMachine(MACHINE, '{"startedBy": "schedule"}')),
        (MACHINE, json.dumps({"StateMachineArn": MACHINE, "Input": "{}"}), ToStateMachine(MACHINE, "{}")),
        (
            "arn:aws:scheduler:::aws-sdk:sfn:startExecution",
            json.dumps({"StateMachineArn": MACHINE, "Input": '{"a": 1}'}),
            ToStateMachine(MACHINE, '{"a": 1}'),
        ),
        (
            MACHINE,
            json.dumps({"StateMachineArn": MACHINE.replace("export", "x"), "Input": "{}"}),
            Reason.TARGET_UNKNOWN,
        ),
        ("arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "{}", Reason.TARGET_NOT_SUPPORTED),
        (FUNCTION, "{}", Reason.TARGET_NOT_SUPPORTED),
        (MACHINE.replace("1234", "9999"), "{}", Reason.TARGET_ELSEWHERE),
    ],
)
def test_what_a_schedule_could_not_start_is_started(back: Back, target: str, body: str, way: Any) -> None:
    assert back("schedule", body, message_attributes={"TARGET_ARN": target}) == way


def test_a_payload_that_was_cut_off_starts_nothing(back: Back) -> None:
    attributes = {"TARGET_ARN": MACHINE, "IS_PAYLOAD_TRUNCATED": "true"}
    assert back("schedule", "{}", message_attributes=attributes) is Reason.PAYLOAD_TRUNCATED
    assert back("schedule", "{}") is Reason.TARGET_UNKNOWN


def test_an_event_that_no_rule_has_seen_goes_to_the_bus_again(back: Back) -> None:
    body = (
        '{"id": "1", "source": "healthlake-hub", "detail-type": "FhirResourceChanged", "account": "1",'
        ' "time": "2026-03-01T12:00:00Z", "resources": ["r"], "detail": {"value": 1.10}}'
    )
    way = back("bus", body)
    assert isinstance(way, ToBus)
    assert way.entry == {
        "EventBusName": "hub-events",
        "Source": "healthlake-hub",
        "DetailType": "FhirResourceChanged",
        "Detail": '{"value": 1.10}',
        "Resources": ["r"],
        "Time": datetime(2026, 3, 1, 12, tzinfo=UTC),
    }


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"source": "aws.s3", "detail-type": "t", "detail": {}}, Reason.EVENT_OF_AWS),
        ({"source": "hub", "detail": {}}, Reason.EVENT_UNREADABLE),
        ({"source": "hub", "detail-type": "t", "detail": {}, "time": "noon"}, Reason.EVENT_UNREADABLE),
        ([], Reason.EVENT_UNREADABLE),
    ],
)
def test_what_is_no_event_of_the_hub_does_not_go_on_a_bus(back: Back, event: Any, reason: Reason) -> None:
    assert back("bus", event) is reason


def position(arrived: str = "2026-03-01T11:00:00Z", **who: Any) -> dict[str, Any]:
    batch = {
        "streamArn": STREAM,
        "shardId": "shard",
        "startSequenceNumber": "1",
        "endSequenceNumber": "3",
        "batchSize": 3,
        "approximateArrivalOfFirstRecord": arrived,
    }
    return {**who, "DDBStreamBatchInfo": batch}


def test_a_batch_of_a_stream_is_read_again_for_its_function(back: Back) -> None:
    way = back("stream", position(requestContext={"functionArn": FUNCTION}))
    assert isinstance(way, ReadAgain)
    assert (way.reader_arn, way.position.startSequenceNumber) == (FUNCTION, "1")


def test_a_batch_of_a_pipe_is_read_again_for_the_pipe(back: Back) -> None:
    way = back("pipe", position(context={"partnerResourceArn": PIPE}))
    assert isinstance(way, ReadAgain)
    assert way.reader_arn == PIPE


@pytest.mark.parametrize(
    ("arrived", "expired"),
    [("2026-02-28T12:00:00Z", True), ("2026-02-28T12:00:01Z", False), ("", False), ("noon", False)],
)
def test_a_position_expires_after_24_hours(back: Back, arrived: str, expired: bool) -> None:
    way = back("stream", position(arrived, requestContext={"functionArn": FUNCTION}))
    assert (way is Reason.POSITION_EXPIRED) == expired


@pytest.mark.parametrize(
    ("kind", "record", "reason"),
    [
        ("stream", {}, Reason.POSITION_UNREADABLE),
        ("stream", position(), Reason.POSITION_UNREADABLE),
        ("stream", position(context={"partnerResourceArn": PIPE}), Reason.POSITION_UNREADABLE),
        ("pipe", position(requestContext={"functionArn": FUNCTION}), Reason.POSITION_UNREADABLE),
        (
            "stream",
            position(requestContext={"functionArn": FUNCTION.replace("1234", "9")}),
            Reason.TARGET_ELSEWHERE,
        ),
    ],
)
def test_a_record_that_names_no_reader_or_position_has_no_way(
    back: Back, kind: str, record: Any, reason: Reason
) -> None:
    assert back(kind, record) is reason


def test_a_way_back_shows_no_content() -> None:
    ways = [ToFunction("f", b"SECRET"), ToStateMachine("m", "SECRET"), ToBus({"Detail": "SECRET"})]
    assert not [way for way in ways if "SECRET" in repr(way)]
