"""A dead letter goes only where what dies there comes to its queue, whatever the letter says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dlq_redrive.bindings import Bindings
from dlq_redrive.failure_records import Position
from dlq_redrive.senders import Clients
from dlq_redrive.ways_back import ReadAgain, ToBus, ToFunction, ToQueue, ToStateMachine

HERE = "us-east-1:123456789012"
DEAD, OTHER = f"arn:aws:sqs:{HERE}:hub-dead", f"arn:aws:sqs:{HERE}:hub-other"
WORK = f"arn:aws:sqs:{HERE}:hub-work"
FUNCTION = f"arn:aws:lambda:{HERE}:function:hub-clean"
MACHINE = f"arn:aws:states:{HERE}:stateMachine:hub-export"
RULE = f"arn:aws:events:{HERE}:rule/hub-rule"
SCHEDULE = f"arn:aws:scheduler:{HERE}:schedule/default/hub-nightly"
UNIVERSAL = "arn:aws:scheduler:::aws-sdk:sfn:startExecution"
STREAM = f"arn:aws:dynamodb:{HERE}:table/hub-t/stream/1"
RECORDS = ReadAgain(Position(STREAM, "shard", "1", "1", 1), FUNCTION)


@dataclass
class Services:
    """Answers each operation with what `answers` says, and notes what was asked."""

    answers: dict[str, Any]
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, operation: str) -> Any:
        def call(**request: Any) -> Any:
            self.calls.append((operation, request))
            found = self.answers[operation]
            answer = found.pop(0) if isinstance(found, list) else found
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def gone(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "ResourceNotFoundException"}}, operation)


def target(arn: str, queue: str | None = DEAD) -> dict[str, Any]:
    return {"Id": "1", "Arn": arn, **({"DeadLetterConfig": {"Arn": queue}} if queue else {})}


def failing_to(queue: str) -> dict[str, Any]:
    return {"DestinationConfig": {"OnSuccess": {}, "OnFailure": {"Destination": queue}}}


@pytest.fixture
def allowed(queue_of: Any, letter_with: Any) -> Any:
    """Whether a message with these attributes may go a way, by the answers of the services."""

    def ask(kind: str, way: Any, answers: dict[str, Any] | None = None, **attributes: str) -> bool:
        fake: Any = Services(answers or {})
        clients = Clients(fake, fake, fake, fake, fake, fake, fake)
        letter = letter_with("{}", message_attributes=attributes)
        return Bindings(clients, fake, queue_of(kind), "hub").allow(way, letter)

    return ask


@pytest.mark.parametrize(
    ("targets", "bound"),
    [
        ([target(WORK)], True),
        ([target(FUNCTION), target(WORK)], True),
        ([], False),
        ([target(FUNCTION)], False),
        ([target(WORK, OTHER)], False),
        ([target(WORK, None)], False),
    ],
)
def test_a_rule_has_the_target_with_this_queue(allowed: Any, targets: Any, bound: bool) -> None:
    answers = {"list_targets_by_rule": {"Targets": targets}}
    assert allowed("rule", ToQueue(WORK), answers, RULE_ARN=RULE) is bound


def test_every_page_of_targets_is_looked_at(allowed: Any) -> None:
    pages = [{"Targets": [], "NextToken": "n"}, {"Targets": [target(MACHINE)]}]
    assert allowed("rule", ToStateMachine(MACHINE, "{}"), {"list_targets_by_rule": pages}, RULE_ARN=RULE)


@pytest.mark.parametrize(
    ("arn", "asked"),
    [
        (RULE, {"Rule": "hub-rule", "EventBusName": "default"}),
        (f"arn:aws:events:{HERE}:rule/hub-events/hub-r", {"Rule": "hub-r", "EventBusName": "hub-events"}),
    ],
)
def test_a_rule_is_asked_about_on_its_bus_once(
    queue_of: Any, letter_with: Any, arn: str, asked: dict[str, str]
) -> None:
    fake: Any = Services({"list_targets_by_rule": {"Targets": [target(WORK)]}})
    bindings = Bindings(Clients(fake, fake, fake, fake, fake, fake, fake), fake, queue_of("rule"), "hub")
    letter = letter_with("{}", message_attributes={"RULE_ARN": arn})
    assert [bindings.allow(ToQueue(WORK), letter) for _ in range(2)] == [True, True]
    assert fake.calls == [("list_targets_by_rule", asked)]


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "r",
        "arn:aws:events:us-east-1:123456789012:rule/another-rule",
        RULE.replace("us-east-1", "eu-west-1"),
    ],
)
def test_a_rule_of_somebody_else_is_not_asked_about(allowed: Any, arn: str) -> None:
    assert not allowed("rule", ToQueue(WORK), RULE_ARN=arn)


def test_a_rule_that_is_gone_sends_nothing_here(allowed: Any) -> None:
    answers = {"list_targets_by_rule": gone("ListTargetsByRule")}
    assert not allowed("rule", ToQueue(WORK), answers, RULE_ARN=RULE)


def test_a_refusal_to_say_is_not_taken_for_no(allowed: Any) -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException"}}, "ListTargetsByRule")
    with pytest.raises(ClientError):
        allowed("rule", ToQueue(WORK), {"list_targets_by_rule": denied}, RULE_ARN=RULE)


@pytest.mark.parametrize(
    ("answer", "bound"),
    [
        (failing_to(DEAD), True),
        (failing_to(OTHER), False),
        ({"MaximumRetryAttempts": 1}, False),
        (gone("GetFunctionEventInvokeConfig"), False),
    ],
)
def test_a_function_sends_here_what_it_failed_on(allowed: Any, answer: Any, bound: bool) -> None:
    answers = {"get_function_event_invoke_config": answer}
    assert allowed("async", ToFunction(f"{FUNCTION}:live", b"{}"), answers) is bound


def test_a_function_that_the_redrive_was_asked_for_is_not_the_messages_choice(allowed: Any) -> None:
    assert allowed("async", ToFunction(FUNCTION, b"{}", asked_for=True))


@pytest.mark.parametrize(
    ("found", "bound"),
    [
        (target(MACHINE), True),
        (target(UNIVERSAL) | {"Input": json.dumps({"StateMachineArn": MACHINE, "Input": "{}"})}, True),
        (target(UNIVERSAL) | {"Input": json.dumps({"StateMachineArn": f"{MACHINE}-2"})}, False),
        (target(f"{MACHINE}-2"), False),
        (target(MACHINE, OTHER), False),
    ],
)
def test_a_schedule_starts_the_state_machine_with_this_queue(allowed: Any, found: Any, bound: bool) -> None:
    answers = {"get_schedule": {"Target": found}}
    way = ToStateMachine(MACHINE, "{}")
    assert allowed("schedule", way, answers, SCHEDULE_ARN=SCHEDULE) is bound


@pytest.mark.parametrize(("queue", "bound"), [(DEAD, True), (OTHER, False)])
def test_a_function_reads_the_stream_with_this_queue(allowed: Any, queue: str, bound: bool) -> None:
    answers = {"list_event_source_mappings": {"EventSourceMappings": [failing_to(queue)]}}
    assert allowed("stream", RECORDS, answers) is bound


def test_nothing_is_asked_where_sqs_or_the_bus_is_the_answer(allowed: Any) -> None:
    assert allowed("sqs", ToQueue(WORK))
    assert allowed("bus", ToBus({}))


@pytest.mark.parametrize(
    ("described", "bound"),
    [
        (
            {
                "Source": STREAM,
                "SourceParameters": {"DynamoDBStreamParameters": {"DeadLetterConfig": {"Arn": DEAD}}},
            },
            True,
        ),
        (
            {
                "Source": OTHER,
                "SourceParameters": {"DynamoDBStreamParameters": {"DeadLetterConfig": {"Arn": DEAD}}},
            },
            False,
        ),
        ({"Source": STREAM, "SourceParameters": {"DynamoDBStreamParameters": {}}}, False),
        ({"Source": STREAM}, False),
    ],
)
def test_a_pipe_reads_the_stream_with_this_queue(queue_of: Any, described: Any, bound: bool) -> None:
    nothing: Any = None
    assert Bindings(nothing, nothing, queue_of("pipe"), "hub").allow_pipe(described, RECORDS) is bound
