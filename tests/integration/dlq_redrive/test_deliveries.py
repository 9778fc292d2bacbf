"""What is delivered over any number of runs, whatever fails: no message more often than `maxRedrives`."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ReadTimeoutError

from common.errors import AwsCallFailed, HubError
from dlq_redrive.errors import TargetRefused
from dlq_redrive.redrive_counts import RedriveCounts, Redrives
from local.testing.mocked_hub import TABLE

MAX_REDRIVES = 3
ALL = {str(number) for number in range(4)}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:hub-test-clean"
Answer = Callable[..., Any]


class Services:
    """Calls of AWS. `answers` has what those of an operation come to instead of what they would."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.made: list[str] = []

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> Services:
        make = BaseClient._make_api_call  # type: ignore[attr-defined]

        def call(client: Any, operation: str, request: Any) -> Any:
            self.made.append(operation)
            answer = self.answers.get(operation)
            if answer is None:
                return make(client, operation, request)
            return answer(lambda: make(client, operation, request))

        monkeypatch.setattr(BaseClient, "_make_api_call", call)
        return self


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    return Services().watch(monkeypatch)


def refused(code: str, status: int = 400) -> Answer:
    """A call that a service answers with a refusal."""

    def answer(_: Any) -> Any:
        response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise ClientError(response, "Any")

    return answer


def unanswered(make: Callable[[], Any]) -> Any:
    """A call that is made, and whose answer is lost."""
    make()
    raise ReadTimeoutError(endpoint_url="x")


def unheard(_: Any) -> Any:
    """A call that never arrives, of which nobody can tell."""
    raise ReadTimeoutError(endpoint_url="x")


def run(redrive: Any, plan: Any, execution: str) -> Any:
    """A run as the workflow has it: three more calls after one that could move nothing."""
    totals = None
    for _ in range(4):
        try:
            totals = redrive.run(plan, execution, totals)
        except HubError as error:
            last: Any = error
        else:
            last = None
            if not totals["more"]:
                break
        redrive.show(plan["queueArn"])
    redrive.show(plan["queueArn"])
    return last or totals


def attempts_of(redrive: Any) -> Counter[str]:
    """How many attempts each item of the table counts, by its key."""
    found = boto3.client("dynamodb", "us-east-1").scan(TableName=TABLE)["Items"]
    return Counter({item["sk"]["S"]: len(item.get("attempts", {}).get("SS", [])) for item in found})


@pytest.fixture
def four(redrive: Any) -> tuple[str, str, Any]:
    """A dead-letter queue with four messages, its source, and the plan."""
    dlq, work = redrive.pair()
    redrive.fill(dlq, 4)
    return dlq, work, redrive.plan_of(dlq)


@pytest.mark.parametrize("delete", [refused("InternalError", 500), refused("AccessDenied"), unheard])
def test_while_no_message_can_be_deleted_none_is_delivered_more_often_than_allowed(
    redrive: Any, four: Any, services: Services, delete: Answer
) -> None:
    dlq, work, plan = four
    services.answers["DeleteMessage"] = delete
    for number in range(6):
        run(redrive, plan, f"run {number}")
    assert set(redrive.bodies(dlq)) == ALL
    assert max(Counter(redrive.bodies(work)).values()) == MAX_REDRIVES

    del services.answers["DeleteMessage"]
    redrive.run_all(plan, "last")
    delivered, kept = Counter(redrive.bodies(work)), {letter["body"] for letter in redrive.quarantined()}
    assert (redrive.bodies(dlq), set(delivered) | kept) == ([], ALL)
    assert max(delivered.values()) == MAX_REDRIVES
    assert kept == {body for body, times in delivered.items() if times == MAX_REDRIVES}


@pytest.mark.parametrize("send", [unanswered, unheard, refused("InternalError", 500)])
def test_a_send_whose_end_nobody_knows_counts(
    redrive: Any, four: Any, services: Services, send: Answer
) -> None:
    dlq, work, plan = four
    services.answers["SendMessage"] = send
    for number in range(4):
        run(redrive, plan, f"run {number}")
    delivered = Counter(redrive.bodies(work))
    assert set(delivered.values()) <= {MAX_REDRIVES}
    assert redrive.bodies(dlq) == []
    assert {letter["body"] for letter in redrive.quarantined()} == ALL


@pytest.mark.parametrize("failure", [refused("InternalFailure", 500), unheard, refused("OverLimit")])
@pytest.mark.parametrize(
    "question", ["ListEventSourceMappings", "GetShardIterator", "GetRecords", "ChangeMessageVisibility"]
)
def test_a_question_that_fails_costs_no_message_one_of_its_tries(
    redrive: Any, services: Services, batches: Any, question: str, failure: Answer
) -> None:
    dlq, plan, invoked = batches
    services.answers["Invoke"] = fails(invoked, 0)
    asked = services.answers.pop(question, None)
    services.answers[question] = failure
    for number in range(MAX_REDRIVES + 1):
        assert isinstance(run(redrive, plan, f"run {number}"), HubError)
    assert (len(redrive.bodies(dlq)), attempts_of(redrive), invoked) == (2, {}, [])

    services.answers.pop(question)
    services.answers.update({question: asked} if asked else {})
    assert redrive.run(plan, "last")["redriven"] == 2


def test_after_a_question_that_was_not_answered_the_message_can_be_received_at_once(
    redrive: Any, services: Services, batches: Any
) -> None:
    dlq, plan, _ = batches
    services.answers["GetRecords"] = unheard
    with pytest.raises(HubError):
        redrive.run(plan)
    assert all(message.visible for message in redrive.messages(dlq))


def test_while_the_service_is_unavailable_one_message_loses_one_try(
    redrive: Any, four: Any, services: Services
) -> None:
    """Nobody knows whether it was sent; no other is tried, and no state tries the call again at once."""
    dlq, work, plan = four
    services.answers["SendMessage"] = refused("ServiceUnavailable", 503)
    with pytest.raises(AwsCallFailed, match="ServiceUnavailable"):
        redrive.run(plan)
    assert (services.made.count("SendMessage"), set(attempts_of(redrive).values())) == (1, {1})

    del services.answers["SendMessage"]
    assert redrive.run_all(plan, "later")["redriven"] == 4
    assert (set(redrive.bodies(work)), redrive.bodies(dlq), redrive.quarantined()) == (ALL, [], [])


def test_an_event_that_the_bus_may_have_taken_stays_counted(redrive: Any, services: Services) -> None:
    dlq = redrive.queue("bus-dead", kind="bus")
    redrive.send(dlq, json.dumps({"source": "s", "detail-type": "t", "detail": {}}))
    services.answers["PutEvents"] = lambda _: {"Entries": [{"ErrorCode": "InternalFailure"}]}
    with pytest.raises(AwsCallFailed, match="InternalFailure"):
        redrive.run(redrive.plan_of(dlq))
    assert set(attempts_of(redrive).values()) == {1}


@pytest.mark.parametrize(
    "code",
    [
        "RequestThrottled",
        "AccessDenied",
        "KmsAccessDenied",
        "AWS.SimpleQueueService.NonExistentQueue",
        "InvalidMessageContents",
    ],
)
def test_a_send_that_was_refused_does_not_count_however_often(
    redrive: Any, four: Any, services: Services, code: str
) -> None:
    dlq, work, plan = four
    services.answers["SendMessage"] = refused(code)
    for number in range(3):
        assert isinstance(run(redrive, plan, f"run {number}"), HubError)
    assert set(redrive.bodies(dlq)) == ALL
    assert set(attempts_of(redrive).values()) == {0}

    del services.answers["SendMessage"]
    assert redrive.run_all(plan, "last")["redriven"] == 4
    assert (set(redrive.bodies(work)), redrive.quarantined()) == (ALL, [])


def test_a_count_that_cannot_be_taken_back_stays(redrive: Any, services: Services) -> None:
    dlq, _ = redrive.pair()
    redrive.send(dlq, "one")
    plan = redrive.plan_of(dlq)
    services.answers["SendMessage"] = refused("AccessDenied")
    updates = iter([False, True])
    services.answers["UpdateItem"] = lambda make: refused("Odd")(None) if next(updates) else make()

    with pytest.raises(HubError, match="refused with AccessDenied"):
        redrive.run(plan)
    assert set(attempts_of(redrive).values()) == {1}


def test_a_message_without_a_way_back_after_all_is_not_counted(redrive: Any, services: Services) -> None:
    dlq = redrive.queue("stream-dead", kind="stream")
    redrive.send(dlq, position("arn:aws:dynamodb:us-east-1:123456789012:table/gone/stream/1"))
    services.answers["ListEventSourceMappings"] = read_by_the_function(dlq)
    services.answers["GetShardIterator"] = refused("TrimmedDataAccessException")

    assert redrive.run(redrive.plan_of(dlq))["reasons"] == {"POSITION_EXPIRED": 1}
    assert attempts_of(redrive) == {}


def read_by_the_function(dlq: str) -> Answer:
    """The stream's reader, with that queue for what it fails on."""
    reader = {"DestinationConfig": {"OnFailure": {"Destination": dlq}}}
    return lambda _: {"EventSourceMappings": [reader]}


def position(stream: str) -> str:
    batch = {"streamArn": stream, "shardId": "s", "startSequenceNumber": "1", "endSequenceNumber": "1"}
    return json.dumps({"requestContext": {"functionArn": FUNCTION}, "DDBStreamBatchInfo": batch})


@pytest.fixture
def batches(redrive: Any, services: Services) -> Any:
    """A dead-letter queue with two batches of a stream, the plan, and what its function is invoked with:
    it fails on the second batch."""
    stream = "arn:aws:dynamodb:us-east-1:123456789012:table/t/stream/{}"
    dlq = redrive.queue("stream-dead", kind="stream")
    for number in "12":
        redrive.send(dlq, position(stream.format(number)))
    invoked: list[str] = []
    ids = iter(range(1000))
    services.answers["ListEventSourceMappings"] = read_by_the_function(dlq)
    services.answers["GetShardIterator"] = lambda _: {"ShardIterator": "i"}
    services.answers["GetRecords"] = lambda _: {
        "Records": [{"eventID": str(next(ids)), "dynamodb": {"SequenceNumber": "1"}}]
    }
    return dlq, redrive.plan_of(dlq), invoked


def fails(invoked: list[str], *numbers: int) -> Answer:
    """A function that notes its invocations and fails on those of these numbers."""

    def answer(_: Any) -> Any:
        invoked.append("invoked")
        failed = {"FunctionError": "Unhandled"} if not numbers or len(invoked) in numbers else {}
        return {"StatusCode": 200, "Payload": io.BytesIO(b"null"), **failed}

    return answer


def test_a_batch_that_its_function_fails_on_again_counts_and_is_kept_in_the_end(
    redrive: Any, services: Services, batches: Any
) -> None:
    dlq, plan, invoked = batches
    services.answers["Invoke"] = fails(invoked)
    for number in range(MAX_REDRIVES):
        with pytest.raises(TargetRefused):
            redrive.run(plan, f"run {number}")
        redrive.show(dlq)
        assert redrive.run(plan, f"run {number}")["returned"] == 2  # once in a run, whatever calls it has
        redrive.show(dlq)
        assert len(invoked) == 2 * (number + 1)

    assert run(redrive, plan, "last")["reasons"] == {"REDRIVEN_TOO_OFTEN": 2}
    assert (len(invoked), redrive.bodies(dlq)) == (2 * MAX_REDRIVES, [])
    assert {letter["redrives"] for letter in redrive.quarantined()} == {MAX_REDRIVES}


def test_a_batch_that_its_function_fails_on_again_is_left_to_the_next_run(
    redrive: Any, services: Services, batches: Any
) -> None:
    dlq, plan, invoked = batches
    services.answers["Invoke"] = fails(invoked, 2)
    totals = run(redrive, plan, "one")
    assert (totals["redriven"], totals["failed"], totals["returned"], totals["emptied"]) == (1, 1, 1, True)
    assert (len(invoked), len(redrive.bodies(dlq))) == (2, 1)

    assert run(redrive, plan, "two")["redriven"] == 1
    assert (len(invoked), redrive.bodies(dlq)) == (3, [])


def test_identical_messages_are_no_more_than_one_message_sent_several_times(redrive: Any) -> None:
    """Those that wait are told from what an execution has sent back itself: nothing is sent twice by it."""
    dlq, work = redrive.pair()
    for _ in range(2):
        redrive.send(dlq, "same")
    plan = redrive.plan_of(dlq)
    totals = redrive.run(plan, "one")
    assert (totals["redriven"], totals["returned"]) == (2, 0)
    redrive.die(work, dlq)
    totals = redrive.run(plan, "one", totals)
    assert (totals["redriven"], totals["returned"]) == (2, 2)
    redrive.show(dlq)

    totals = redrive.run(plan, "two")
    assert (totals["redriven"], totals["quarantined"], totals["returned"]) == (1, 1, 0)
    assert len(redrive.bodies(work)) + len(redrive.quarantined()) == 2


def test_what_others_count_meanwhile_counts_too(redrive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    dlq, work = redrive.pair()
    for _ in range(5):
        redrive.send(dlq, "same")
    monkeypatch.setattr(RedriveCounts, "read", lambda *_: Redrives())  # as it was before they did
    totals = redrive.run(redrive.plan_of(dlq))
    assert (totals["redriven"], totals["reasons"]) == (MAX_REDRIVES, {"REDRIVEN_TOO_OFTEN": 2})
    assert len(redrive.bodies(work)) == MAX_REDRIVES


def test_a_message_without_room_for_a_mark_is_not_sent_twice_by_one_execution(
    redrive: Any, services: Services
) -> None:
    dlq, work = redrive.pair()
    redrive.send(dlq, "large")
    plan = redrive.plan_of(dlq)
    sends = iter([True, False])
    services.answers["SendMessage"] = lambda make: (
        refused("InvalidParameterValue")(None) if next(sends) else make()
    )
    totals = redrive.run(plan, "one")
    assert (totals["redriven"], redrive.messages(work)[0].message_attributes) == (1, {})
    del services.answers["SendMessage"]
    redrive.die(work, dlq)

    totals = redrive.run(plan, "one", totals)
    assert (totals["redriven"], totals["returned"], redrive.bodies(work)) == (1, 1, [])
