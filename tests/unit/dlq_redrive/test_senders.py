"""What is sent where, as the services are asked."""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from common.errors import AwsCallFailed
from dlq_redrive.aws_failures import nothing_was_sent
from dlq_redrive.bindings import Bindings
from dlq_redrive.dead_letter import REDRIVE_ATTRIBUTE
from dlq_redrive.errors import RedriveThrottled, TargetRefused, TargetTookPart
from dlq_redrive.failure_records import Position
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.senders import Clients, Sender
from dlq_redrive.ways_back import ReadAgain, ToBus, ToFunction, ToQueue, ToStateMachine

HERE = "us-east-1:123456789012"
WORK = f"arn:aws:sqs:{HERE}:hub-work"
FUNCTION = f"arn:aws:lambda:{HERE}:function:hub-clean"
PIPE = f"arn:aws:pipes:{HERE}:pipe/hub-records"
ROWS = f"arn:aws:firehose:{HERE}:deliverystream/hub-rows"
BUS = f"arn:aws:events:{HERE}:event-bus/hub"
DEAD = f"arn:aws:sqs:{HERE}:hub-dead"
POSITION = Position(f"arn:aws:dynamodb:{HERE}:table/t/stream/1", "shard", "1", "1", 1)


@dataclass
class FakeServices:
    """Answers every call and notes it. `answers` and `refusals` are by operation, one a call."""

    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, list[Any]] = field(default_factory=dict)

    class exceptions:  # noqa: N801 - the name on a client
        class ExecutionAlreadyExists(ClientError):
            def __init__(self) -> None:
                super().__init__({"Error": {"Code": "ExecutionAlreadyExists"}}, "StartExecution")

    def __getattr__(self, operation: str) -> Any:
        def call(**request: Any) -> Any:
            self.calls.append((operation, request))
            answer = self.answers.get(operation, [{}]).pop(0) if self.answers.get(operation) else {}
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


@pytest.fixture
def services() -> FakeServices:
    return FakeServices()


@pytest.fixture
def sender_of(services: FakeServices, queue_of: Any) -> Any:
    def made(kind: str) -> Sender:
        fake: Any = services
        clients, queue = Clients(fake, fake, fake, fake, fake, fake, fake), queue_of(kind)
        return Sender(clients, queue, Bindings(clients, fake, queue, "hub"))

    return made


@pytest.fixture
def send(sender_of: Any, letter_with: Any) -> Any:
    def made(way: Any, kind: str = "sqs", **given: Any) -> Any:
        ready = sender_of(kind).prepare(way, letter_with(**given), "identity")
        if isinstance(ready, Reason):
            return ready
        ready(2)
        return None

    return made


def answer(payload: Any) -> dict[str, Any]:
    return {"Payload": io.BytesIO(json.dumps(payload).encode())}


def test_a_message_keeps_its_attributes_and_gets_the_mark(send: Any, services: FakeServices) -> None:
    send(ToQueue(WORK), body="b", message_attributes={"a": "1"})
    ((_, request),) = services.calls
    assert request["QueueUrl"] == "https://sqs/123456789012/hub-work"
    assert request["MessageBody"] == "b"
    assert request["MessageAttributes"] == {
        "a": {"DataType": "String", "StringValue": "1"},
        REDRIVE_ATTRIBUTE: {"DataType": "Number", "StringValue": "2"},
    }
    assert "MessageGroupId" not in request
    assert "MessageDeduplicationId" not in request


def test_a_message_of_a_fifo_queue_keeps_its_group_and_is_dropped_only_as_a_copy_of_itself(
    send: Any, services: FakeServices
) -> None:
    for message_id in ("m1", "m1", "m2"):
        send(ToQueue(f"{WORK}.fifo"), message_id=message_id, attributes={"MessageGroupId": "g"})
    assert {request["MessageGroupId"] for _, request in services.calls} == {"g"}
    sent = [request["MessageDeduplicationId"] for _, request in services.calls]
    assert sent == ["identity-m1", "identity-m1", "identity-m2"]


def test_a_message_keeps_the_trace_it_belongs_to(send: Any, services: FakeServices) -> None:
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    send(ToQueue(WORK), attributes={"AWSTraceHeader": trace})
    ((_, request),) = services.calls
    kept = {"AWSTraceHeader": {"DataType": "String", "StringValue": trace}}
    assert request["MessageSystemAttributes"] == kept


def test_a_message_with_ten_attributes_is_not_marked(send: Any, services: FakeServices) -> None:
    send(ToQueue(WORK), message_attributes={f"a{number}": "1" for number in range(10)})
    ((_, request),) = services.calls
    assert len(request["MessageAttributes"]) == 10
    assert REDRIVE_ATTRIBUTE not in request["MessageAttributes"]


def test_the_mark_of_a_message_with_ten_attributes_is_renewed(send: Any, services: FakeServices) -> None:
    send(ToQueue(WORK), message_attributes={REDRIVE_ATTRIBUTE: "1", **{f"a{n}": "1" for n in range(9)}})
    ((_, request),) = services.calls
    assert request["MessageAttributes"][REDRIVE_ATTRIBUTE]["StringValue"] == "2"


def test_a_message_that_a_mark_makes_too_large_is_sent_without(send: Any, services: FakeServices) -> None:
    too_large = ClientError({"Error": {"Code": "InvalidParameterValue"}}, "SendMessage")
    services.answers["send_message"] = [too_large, {}]
    send(ToQueue(WORK), message_attributes={"a": "1"})
    assert set(services.calls[1][1]["MessageAttributes"]) == {"a"}


def test_what_a_rule_noted_is_not_sent_to_its_target(send: Any, services: FakeServices) -> None:
    send(ToQueue(WORK, with_attributes=False), message_attributes={"ERROR_MESSAGE": "m"})
    ((_, request),) = services.calls
    assert set(request["MessageAttributes"]) == {REDRIVE_ATTRIBUTE}


def test_an_alias_is_invoked_as_itself(send: Any, services: FakeServices) -> None:
    send(ToFunction(f"{FUNCTION}:live", b"{}"))
    ((_, request),) = services.calls
    assert request == {
        "FunctionName": FUNCTION,
        "Qualifier": "live",
        "InvocationType": "Event",
        "Payload": b"{}",
    }


def test_an_execution_that_was_started_before_is_not_started_twice(send: Any, services: FakeServices) -> None:
    services.answers["start_execution"] = [{}, FakeServices.exceptions.ExecutionAlreadyExists()]
    way = ToStateMachine("machine", "{}")
    assert [send(way), send(way)] == [None, None]
    assert len({request["name"] for _, request in services.calls}) == 1


def test_messages_that_are_just_alike_start_an_execution_each(send: Any, services: FakeServices) -> None:
    for message_id in ("m1", "m2"):
        send(ToStateMachine("machine", "{}"), message_id=message_id)
    names = {request["name"] for _, request in services.calls}
    assert len(names) == 2
    assert all(name.startswith("redrive-") and len(name) <= 80 for name in names)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ThrottlingException", RedriveThrottled),
        ("InternalFailure", AwsCallFailed),
        ("InternalException", AwsCallFailed),
        ("X", TargetRefused),
    ],
)
def test_an_event_that_the_bus_refuses_is_not_taken_for_sent(
    send: Any, services: FakeServices, code: str, error: type[Exception]
) -> None:
    services.answers["put_events"] = [{"Entries": [{"ErrorCode": code, "ErrorMessage": "SECRET"}]}]
    with pytest.raises(error, match=f"the first with {code}"):
        send(ToBus({"Detail": "{}"}))


def stream_of(services: FakeServices) -> None:
    """A stream with one record, read by a function that sends to the queue what it fails on."""
    mapping = {"DestinationConfig": {"OnFailure": {"Destination": DEAD}}}
    services.answers["list_event_source_mappings"] = [{"EventSourceMappings": [mapping]}]
    services.answers["get_shard_iterator"] = [{"ShardIterator": "i"}]
    services.answers["get_records"] = [{"Records": [{"eventID": "e", "dynamodb": {"SequenceNumber": "1"}}]}]


def pipe_with(services: FakeServices, **described: Any) -> None:
    """A pipe that reads the stream and sends to the queue what it fails on."""
    source = {"DynamoDBStreamParameters": {"DeadLetterConfig": {"Arn": DEAD}}}
    services.answers["describe_pipe"] = [
        {"Source": POSITION.streamArn, "SourceParameters": source, **described}
    ]


def test_a_function_gets_the_records_of_a_stream_again(send: Any, services: FakeServices) -> None:
    stream_of(services)
    services.answers["invoke"] = [answer(None)]
    assert send(ReadAgain(POSITION, FUNCTION), "stream") is None
    operation, request = services.calls[-1]
    assert (operation, request["InvocationType"]) == ("invoke", "RequestResponse")
    assert [one["eventID"] for one in json.loads(request["Payload"])["Records"]] == ["e"]


@pytest.mark.parametrize(
    "result",
    [
        {"FunctionError": "Unhandled", **answer({"errorMessage": "SECRET"})},
        answer({"batchItemFailures": [{"itemIdentifier": "1"}]}),
    ],
)
def test_a_function_that_fails_on_records_again_has_not_taken_them(
    send: Any, services: FakeServices, result: Any
) -> None:
    stream_of(services)
    services.answers["invoke"] = [result]
    with pytest.raises(TargetRefused) as refusal:
        send(ReadAgain(POSITION, FUNCTION), "stream")
    assert "SECRET" not in str(refusal.value)


def test_a_pipe_is_stood_in_for_with_its_enrichment(send: Any, services: FakeServices) -> None:
    stream_of(services)
    bus = {"EventBridgeEventBusParameters": {"Source": "records", "DetailType": "Changed"}}
    pipe_with(services, Target=BUS, Enrichment=FUNCTION, TargetParameters=bus)
    services.answers["invoke"] = [answer([{"a": 1}, {"a": 2}])]
    services.answers["put_events"] = [{"Entries": [{}, {}]}]
    assert send(ReadAgain(POSITION, PIPE), "pipe") is None
    assert services.calls[0] == ("describe_pipe", {"Name": "hub-records"})
    entries = services.calls[-1][1]["Entries"]
    assert [one["Detail"] for one in entries] == ['{"a":1}', '{"a":2}']
    assert {(one["EventBusName"], one["Source"], one["DetailType"]) for one in entries} == {
        (BUS, "records", "Changed")
    }


def test_a_bus_is_told_of_each_event_what_stands_at_the_paths_of_the_pipe(
    send: Any, services: FakeServices
) -> None:
    stream_of(services)
    told = {"Source": "hub.records", "DetailType": "$.meta.change", "Time": "$.meta.time"}
    parameters = {"EventBridgeEventBusParameters": told}
    pipe_with(services, Target=BUS, Enrichment=FUNCTION, TargetParameters=parameters)
    meta = {"change": "PatientModify", "time": "2026-11-20T12:00:00.000Z"}
    services.answers["invoke"] = [answer([{"meta": meta}])]
    services.answers["put_events"] = [{"Entries": [{}]}]

    assert send(ReadAgain(POSITION, PIPE), "pipe") is None

    (entry,) = services.calls[-1][1]["Entries"]
    assert (entry["Source"], entry["DetailType"]) == ("hub.records", "PatientModify")
    assert entry["Time"] == "2026-11-20T12:00:00.000Z"


def test_an_event_without_what_the_bus_is_to_be_told_is_refused_and_not_quoted(
    send: Any, services: FakeServices
) -> None:
    stream_of(services)
    told = {"Source": "hub.records", "DetailType": "$.meta.change"}
    parameters = {"EventBridgeEventBusParameters": told}
    pipe_with(services, Target=BUS, Enrichment=FUNCTION, TargetParameters=parameters)
    services.answers["invoke"] = [answer([{"meta": "SECRET"}])]

    with pytest.raises(TargetRefused) as refusal:
        send(ReadAgain(POSITION, PIPE), "pipe")

    assert "SECRET" not in str(refusal.value)
    assert "put_events" not in dict(services.calls)


def test_a_pipe_to_a_delivery_stream_puts_each_record(send: Any, services: FakeServices) -> None:
    stream_of(services)
    pipe_with(services, Target=ROWS, Enrichment=FUNCTION)
    services.answers["invoke"] = [answer([{"a": 1}, {"a": 2}])]
    services.answers["put_record_batch"] = [{"FailedPutCount": 0}]

    assert send(ReadAgain(POSITION, PIPE), "pipe") is None

    assert services.calls[-1] == (
        "put_record_batch",
        {"DeliveryStreamName": "hub-rows", "Records": [{"Data": b'{"a":1}'}, {"Data": b'{"a":2}'}]},
    )


@pytest.mark.parametrize(("failed", "error"), [(1, TargetTookPart), (2, RedriveThrottled)])
def test_records_that_a_delivery_stream_did_not_take_are_told(
    send: Any, services: FakeServices, failed: int, error: type[Exception]
) -> None:
    stream_of(services)
    pipe_with(services, Target=ROWS, Enrichment=FUNCTION)
    services.answers["invoke"] = [answer([1, 2])]
    services.answers["put_record_batch"] = [{"FailedPutCount": failed}]

    with pytest.raises(error):
        send(ReadAgain(POSITION, PIPE), "pipe")


def test_a_pipe_to_a_queue_sends_each_record(send: Any, services: FakeServices) -> None:
    stream_of(services)
    pipe_with(services, Target=WORK)
    assert send(ReadAgain(POSITION, PIPE), "pipe") is None
    assert services.calls[-1][0] == "send_message"
    assert services.calls[-1][1]["QueueUrl"] == "https://sqs/123456789012/hub-work"


def test_an_enrichment_that_leaves_nothing_sends_nothing(send: Any, services: FakeServices) -> None:
    stream_of(services)
    pipe_with(services, Target=WORK, Enrichment=FUNCTION)
    services.answers["invoke"] = [answer([])]
    assert send(ReadAgain(POSITION, PIPE), "pipe") is None
    assert services.calls[-1][0] == "invoke"


@pytest.mark.parametrize(
    "pipe",
    [
        {"Target": f"{WORK}.fifo"},
        {"Target": f"arn:aws:kinesis:{HERE}:stream/s"},
        {"Target": BUS},
        {"Target": WORK, "TargetParameters": {"InputTemplate": "<$.dynamodb>"}},
        {"Target": WORK, "Enrichment": FUNCTION, "EnrichmentParameters": {"InputTemplate": "<$>"}},
        {"Target": WORK, "Enrichment": f"arn:aws:states:{HERE}:stateMachine:m"},
    ],
)
def test_a_pipe_that_cannot_be_stood_in_for_sends_nothing(
    send: Any, services: FakeServices, pipe: Any
) -> None:
    pipe_with(services, **pipe)
    assert send(ReadAgain(POSITION, PIPE), "pipe") is Reason.TARGET_NOT_SUPPORTED
    assert [operation for operation, _ in services.calls] == ["describe_pipe"]


def test_while_a_function_may_run_its_message_is_hidden(send: Any, services: FakeServices) -> None:
    stream_of(services)
    services.answers["invoke"] = [answer(None)]
    send(ReadAgain(POSITION, FUNCTION), "stream")
    names = [operation for operation, _ in services.calls]
    assert names.index("change_message_visibility") < names.index("invoke")
    hidden = dict(services.calls)["change_message_visibility"]
    assert (hidden["ReceiptHandle"], hidden["VisibilityTimeout"]) == ("receipt of id", 900)


def test_a_function_that_did_not_answer_may_be_at_work(services: FakeServices, queue_of: Any) -> None:
    fake: Any = services
    clients = Clients(fake, fake, fake, fake, fake, fake, fake)
    lost, refused = ReadTimeoutError(endpoint_url="x"), ConnectTimeoutError(endpoint_url="x")
    assert [Sender(clients, queue_of("stream")).may_be_at_work(one) for one in (lost, refused)] == [
        True,
        False,
    ]
    assert not Sender(clients, queue_of("sqs")).may_be_at_work(lost)


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (
            ClientError({"Error": {"Code": "OverLimit"}}, "SendMessage"),
            "SendMessage was refused with OverLimit.",
        ),
        (ConnectTimeoutError(endpoint_url="x"), "An AWS call failed with ConnectTimeoutError."),
    ],
)
def test_a_failure_after_a_part_was_taken_is_none_of_all(
    send: Any, services: FakeServices, failure: Exception, why: str
) -> None:
    stream_of(services)
    pipe_with(services, Target=WORK, Enrichment=FUNCTION)
    services.answers["invoke"] = [answer([1, 2])]
    services.answers["send_message"] = [{}, failure]
    with pytest.raises(TargetTookPart, match=re.escape(f"Of 2 parts 1 were taken. {why}")):
        send(ReadAgain(POSITION, PIPE), "pipe")


def test_events_of_which_nobody_knows_are_not_taken_for_refused(send: Any, services: FakeServices) -> None:
    codes = ["ThrottlingException", "InternalFailure"]
    services.answers["put_events"] = [{"Entries": [{"ErrorCode": code} for code in codes]}]
    with pytest.raises(AwsCallFailed) as failure:
        send(ToBus({"Detail": "{}"}))
    assert not nothing_was_sent(failure.value)


@pytest.mark.parametrize("asked", ["list_event_source_mappings", "get_records", "change_message_visibility"])
def test_all_that_is_asked_is_asked_before_anything_is_sent(
    sender_of: Any, services: FakeServices, letter_with: Any, asked: str
) -> None:
    stream_of(services)
    services.answers[asked] = [ClientError({"Error": {"Code": "InternalFailure"}}, "Any")]
    with pytest.raises(ClientError):
        sender_of("stream").prepare(ReadAgain(POSITION, FUNCTION), letter_with(), "identity")


def test_what_is_prepared_has_sent_nothing_yet(
    sender_of: Any, services: FakeServices, letter_with: Any
) -> None:
    stream_of(services)
    ready = sender_of("stream").prepare(ReadAgain(POSITION, FUNCTION), letter_with(), "identity")
    assert "invoke" not in dict(services.calls)
    services.answers["invoke"] = [answer(None)]
    asked = len(services.calls)
    ready(1)
    assert [operation for operation, _ in services.calls[asked:]] == ["invoke"]


def test_entries_of_which_some_were_refused_are_taken_in_part(send: Any, services: FakeServices) -> None:
    services.answers["put_events"] = [{"Entries": [{}, {"ErrorCode": "ThrottlingException"}]}]
    stream_of(services)
    bus = {"EventBridgeEventBusParameters": {"Source": "records", "DetailType": "Changed"}}
    pipe_with(services, Target=BUS, Enrichment=FUNCTION, TargetParameters=bus)
    services.answers["invoke"] = [answer([1, 2])]
    with pytest.raises(TargetTookPart, match="the first with ThrottlingException"):
        send(ReadAgain(POSITION, PIPE), "pipe")


def test_a_bus_is_given_what_is_told_in_another_script_and_no_more_at_once_than_it_takes(
    send: Any, services: FakeServices
) -> None:
    stream_of(services)
    bus = {"EventBridgeEventBusParameters": {"Source": "records", "DetailType": "Changed"}}
    pipe_with(services, Target=BUS, Enrichment=FUNCTION, TargetParameters=bus)
    details = [{"text": "Ж" * 200_000} for _ in range(5)]
    services.answers["invoke"] = [answer(details)]
    services.answers["put_events"] = [{"Entries": [{}]}] * 3

    assert send(ReadAgain(POSITION, PIPE), "pipe") is None

    calls = [request["Entries"] for operation, request in services.calls if operation == "put_events"]
    assert [len(entries) for entries in calls] == [2, 2, 1]
    assert [json.loads(entry["Detail"]) for entries in calls for entry in entries] == details
    assert all(sum(len(entry["Detail"].encode()) for entry in entries) < 1_000_000 for entries in calls)


def test_what_has_no_utf_8_stays_as_it_came(send: Any, services: FakeServices) -> None:
    stream_of(services)
    pipe_with(services, Target=WORK, Enrichment=FUNCTION)
    services.answers["invoke"] = [answer(["\ud800"])]
    assert send(ReadAgain(POSITION, PIPE), "pipe") is None
    assert services.calls[-1][1]["MessageBody"] == '"\\ud800"'


def test_records_that_no_invocation_takes_together_go_in_several(send: Any, services: FakeServices) -> None:
    large = [{"eventID": str(n), "eventName": "INSERT", "dynamodb": {"SequenceNumber": str(n), "NewImage": {
        "text": {"S": "Ж" * 150_000}}}} for n in range(1, 31)]  # fmt: skip
    stream_of(services)
    services.answers["get_records"] = [{"Records": large}]
    services.answers["invoke"] = [answer(None)] * 2

    assert send(ReadAgain(Position(POSITION.streamArn, "shard", "1", "30", 30), FUNCTION), "stream") is None

    payloads = [request["Payload"] for operation, request in services.calls if operation == "invoke"]
    assert [len(json.loads(one)["Records"]) for one in payloads] == [19, 11]
    assert max(len(one) for one in payloads) < 6_000_000


def test_a_function_without_a_filter_is_given_all_between_the_first_and_the_last_record(
    send: Any, services: FakeServices
) -> None:
    stream_of(services)
    many = [{"eventName": "INSERT", "dynamodb": {"SequenceNumber": str(n)}} for n in range(1, 251)]
    services.answers["get_records"] = [{"Records": many}]
    services.answers["list_event_source_mappings"] *= 2
    services.answers["invoke"] = [answer(None)] * 3

    assert send(ReadAgain(Position(POSITION.streamArn, "shard", "1", "250", 2), FUNCTION), "stream") is None

    payloads = [request["Payload"] for operation, request in services.calls if operation == "invoke"]
    assert [len(json.loads(one)["Records"]) for one in payloads] == [100, 100, 50]


def test_a_pipe_is_stood_in_for_with_its_filter(send: Any, services: FakeServices) -> None:
    stream_of(services)
    names = ["INSERT", "REMOVE", "INSERT"]
    services.answers["get_records"] = [
        {"Records": [{"eventName": x, "dynamodb": {"SequenceNumber": str(n)}} for n, x in enumerate(names)]}
    ]
    pipe_with(services, Target=WORK)
    source = services.answers["describe_pipe"][0]["SourceParameters"]
    source["FilterCriteria"] = {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]}

    assert send(ReadAgain(Position(POSITION.streamArn, "shard", "0", "2", 2), PIPE), "pipe") is None

    bodies = [request["MessageBody"] for operation, request in services.calls if operation == "send_message"]
    assert [json.loads(one)["eventName"] for one in bodies] == ["INSERT", "INSERT"]
