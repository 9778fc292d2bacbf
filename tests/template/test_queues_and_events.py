"""Nothing that is sent can vanish: queues, rules, schedules and asynchronous calls keep what fails."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local.testing.template_reader import Expanded, references, statements, text

DAY = 86_400
DEAD_LETTERS_KEPT = 14 * DAY
SOURCES_KEPT = 4 * DAY


def dead_letter_kinds(expanded: Expanded) -> dict[str, set[str]]:
    """Every queue that takes failures, and what kinds of things fail into it."""
    found: dict[str, set[str]] = {}
    for queue in expanded.of_type("AWS::SQS::Queue").values():
        if "RedrivePolicy" in queue:
            _note(found, queue["RedrivePolicy"]["deadLetterTargetArn"], "sqs")
    for rule in expanded.of_type("AWS::Events::Rule").values():
        for target in rule["Targets"]:
            _note(found, target.get("DeadLetterConfig", {}).get("Arn"), "rule")
    for bus in expanded.of_type("AWS::Events::EventBus").values():
        _note(found, bus.get("DeadLetterConfig", {}).get("Arn"), "bus")
    for schedule in expanded.of_type("AWS::Scheduler::Schedule").values():
        _note(found, schedule["Target"].get("DeadLetterConfig", {}).get("Arn"), "schedule")
    for config in expanded.of_type("AWS::Lambda::EventInvokeConfig").values():
        _note(found, config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination"), "async")
    return found


def _note(found: dict[str, set[str]], queue_arn: Any, kind: str) -> None:
    for name in references(queue_arn):
        found.setdefault(name, set()).add(kind)


def findings(expanded: Expanded) -> list[str]:
    """Where something that is sent could be lost, one line each."""
    rules = (
        _queue_faults,
        _polling_faults,
        _rule_faults,
        _bus_faults,
        _schedule_faults,
        _asynchronous_faults,
    )
    return [fault for rule in rules for fault in rule(expanded)]


def _queue_faults(expanded: Expanded) -> Iterator[str]:
    dead_letters = dead_letter_kinds(expanded)
    for name, queue in expanded.of_type("AWS::SQS::Queue").items():
        kept = queue.get("MessageRetentionPeriod", SOURCES_KEPT)
        tags = {tag["Key"]: text(tag["Value"]) for tag in queue.get("Tags", [])}
        if tags.get("redrive-stack") != "${AWS::StackName}":
            yield f"{name} does not say of which stack it is"
        if name in dead_letters:
            if kept != DEAD_LETTERS_KEPT:
                yield f"{name} keeps dead letters {kept} seconds"
            if {tags.get("redrive-kind")} != dead_letters[name]:
                yield f"{name} has the redrive-kind {tags.get('redrive-kind')}"
        else:
            if kept > SOURCES_KEPT:
                yield f"{name} keeps messages {kept} seconds"
            if "RedrivePolicy" not in queue:
                yield f"{name} has no dead-letter queue"


def _polling_faults(expanded: Expanded) -> Iterator[str]:
    for name, mapping in expanded.of_type("AWS::Lambda::EventSourceMapping").items():
        (queue,) = references(mapping["EventSourceArn"])
        (function,) = references(mapping["FunctionName"])
        visible_after = expanded.properties(queue).get("VisibilityTimeout", 30)
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name} does not report failures one by one"
        if visible_after < 6 * expanded.properties(function)["Timeout"]:
            yield f"{queue} shows messages again after {visible_after} seconds"


def _rule_faults(expanded: Expanded) -> Iterator[str]:
    for name, rule in expanded.of_type("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            receivers = references(target["Arn"]) | references(target.get("DeadLetterConfig", {}))
            queues = receivers & expanded.of_type("AWS::SQS::Queue").keys()
            if "DeadLetterConfig" not in target:
                yield f"{name} has a target without a dead-letter queue"
            if not target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds"):
                yield f"{name} has a target with unbounded retries"
            for queue in sorted(queues - _queues_open_to(name, expanded)):
                yield f"{name} may not send to {queue}"
            if not _may_start(target, expanded):
                yield f"{name} may not start its target"


def _may_start(target: Mapping[str, Any], expanded: Expanded) -> bool:
    """Whether the target's role may start it, if it is a state machine."""
    if not references(target["Arn"]) & expanded.of_type("AWS::StepFunctions::StateMachine").keys():
        return True
    (role,) = references(target["RoleArn"])
    return text(target["Arn"]) in expanded.resources_for(role, "states:StartExecution")


def _bus_faults(expanded: Expanded) -> Iterator[str]:
    """A bus drops what it cannot encrypt with its key, unless it has a queue for it."""
    for name, bus in expanded.of_type("AWS::Events::EventBus").items():
        queues = references(bus.get("DeadLetterConfig", {}))
        if not queues:
            yield f"{name} has no dead-letter queue"
        for queue in sorted(queues - _queues_open_to(name, expanded)):
            yield f"{name} may not send to {queue}"


def _queues_open_to(sender: str, expanded: Expanded) -> set[str]:
    """The queues whose policy lets EventBridge send for one rule or bus, and only for it."""
    return {
        queue
        for policy in expanded.of_type("AWS::SQS::QueuePolicy").values()
        for one in statements(policy["PolicyDocument"])
        if one.allows("sqs:SendMessage")
        and one.services == ("events.amazonaws.com",)
        and one.conditions.get("ArnEquals", {}).get("aws:SourceArn") == f"${{{sender}.Arn}}"
        for queue in references(policy["Queues"])
        if f"${{{queue}.Arn}}" in one.resources
    }


def _schedule_faults(expanded: Expanded) -> Iterator[str]:
    for name, schedule in expanded.of_type("AWS::Scheduler::Schedule").items():
        target = schedule["Target"]
        bound = target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds")
        if "DeadLetterConfig" not in target or not bound:
            yield f"{name} has no dead-letter queue or no bound"
            continue
        (role,) = references(target["RoleArn"])
        if text(target["DeadLetterConfig"]["Arn"]) not in expanded.resources_for(role, "sqs:SendMessage"):
            yield f"{name} may not send to its dead-letter queue"
        if not _may_start(target, expanded):
            yield f"{name} may not start its target"


def _asynchronous_faults(expanded: Expanded) -> Iterator[str]:
    """Rules, buckets and topics call functions asynchronously; each has a permission on its function."""
    configured = {
        name: config
        for config in expanded.of_type("AWS::Lambda::EventInvokeConfig").values()
        for name in references(config["FunctionName"])
    }
    for permission in expanded.of_type("AWS::Lambda::Permission").values():
        (function,) = references(permission["FunctionName"])
        config = configured.get(function, {})
        destination = config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if destination is None or "MaximumEventAgeInSeconds" not in config:
            yield f"{function} is called asynchronously without a destination for failures or a bound"
            continue
        (queue,) = references(destination)
        (role,) = references(expanded.properties(function)["Role"])
        sendable = expanded.resources_for(role, "sqs:SendMessage")
        if not any(one.endswith((f":${{{queue}.QueueName}}", f"${{{queue}.Arn}}")) for one in sendable):
            yield f"{function} may not send to {queue}"


def test_nothing_that_is_sent_can_vanish(expanded: Expanded) -> None:
    assert findings(expanded) == []


def test_every_kind_of_sender_is_there_to_be_checked(expanded: Expanded) -> None:
    kinds = {kind for kinds in dead_letter_kinds(expanded).values() for kind in kinds}
    assert kinds == {"sqs", "rule", "bus", "schedule", "async"}


def test_no_dead_letter_queue_takes_two_kinds_of_failures(expanded: Expanded) -> None:
    assert [name for name, kinds in dead_letter_kinds(expanded).items() if len(kinds) > 1] == []


def test_no_queue_has_a_reader_that_could_take_its_dead_letters(expanded: Expanded) -> None:
    polled = {
        name
        for mapping in expanded.of_type("AWS::Lambda::EventSourceMapping").values()
        for name in references(mapping["EventSourceArn"])
    }
    assert not polled & dead_letter_kinds(expanded).keys()


def test_the_rule_on_executions_matches_every_ending_that_no_catch_sees(expanded: Expanded) -> None:
    (rule,) = [
        one
        for one in expanded.of_type("AWS::Events::Rule").values()
        if one["EventPattern"]["source"] == ["aws.states"]
    ]
    assert rule["EventPattern"]["detail"]["status"] == ["ABORTED", "TIMED_OUT", "FAILED"]
    assert references(rule["EventPattern"]["detail"]["stateMachineArn"]) == {"ExportStateMachine"}


def _change(resource: str, *path_and_value: Any) -> Callable[[dict[str, Any]], None]:
    def apply(resources: dict[str, Any]) -> None:
        *path, last, value = path_and_value
        target = resources[resource]["Properties"]
        for step in path:
            target = target[step]
        if value is None:
            del target[last]
        else:
            target[last] = value

    return apply


@pytest.mark.parametrize(
    ("breaking", "finding"),
    [
        (
            _change("StartExportDeadLetterQueue", "MessageRetentionPeriod", None),
            "StartExportDeadLetterQueue keeps dead letters 345600 seconds",
        ),
        (
            _change("CleanUpDeadLetterQueue", "Tags", 0, "Value", "sqs"),
            "CleanUpDeadLetterQueue has the redrive-kind sqs",
        ),
        (
            _change("StartExportQueue", "MessageRetentionPeriod", 5 * DAY),
            "StartExportQueue keeps messages 432000 seconds",
        ),
        (_change("StartExportQueue", "RedrivePolicy", None), "StartExportQueue has no dead-letter queue"),
        (_change("StartExportQueue", "Tags", 0, None), "StartExportQueue does not say of which stack it is"),
        (
            _change("CheckExportQueue", "VisibilityTimeout", 300),
            "CheckExportQueue shows messages again after 300 seconds",
        ),
        (
            _change("CheckExportFunctionChecks", "FunctionResponseTypes", None),
            "CheckExportFunctionChecks does not report failures one by one",
        ),
        (
            _change("ExportJobEventsRule", "Targets", 0, "DeadLetterConfig", None),
            "ExportJobEventsRule has a target without a dead-letter queue",
        ),
        (
            _change("ExportJobEventsRule", "Targets", 0, "RetryPolicy", None),
            "ExportJobEventsRule has a target with unbounded retries",
        ),
        (
            _change("ExportJobEventsQueuePolicy", "PolicyDocument", "Statement", 0, "Resource", 1, None),
            "ExportJobEventsRule may not send to ExportJobEventsDeadLetterQueue",
        ),
        (
            _change("RedriveAlarmRole", "Policies", 0, "PolicyDocument", "Statement", 0, None),
            "RedriveAlarmRule may not start its target",
        ),
        (_change("HubEventBus", "DeadLetterConfig", None), "HubEventBus has no dead-letter queue"),
        (
            _change("EventBusDeadLetterQueuePolicy", "PolicyDocument", "Statement", 0, None),
            "HubEventBus may not send to EventBusDeadLetterQueue",
        ),
        (
            _change("ScheduledExport", "Target", "DeadLetterConfig", None),
            "ScheduledExport has no dead-letter queue or no bound",
        ),
        (
            _change("ExportScheduleRole", "Policies", 0, "PolicyDocument", "Statement", 1, None),
            "ScheduledExport may not send to its dead-letter queue",
        ),
        (
            _change("RedriveScheduleRole", "Policies", 0, "PolicyDocument", "Statement", 0, None),
            "RedriveSchedule may not start its target",
        ),
        (
            _change("CleanUpFailedRunFunctionEventInvokeConfig", "DestinationConfig", None),
            "CleanUpFailedRunFunction is called asynchronously without a destination for failures or a bound",
        ),
    ],
)
def test_a_way_to_lose_something_is_found(
    expanded: Expanded, breaking: Callable[[dict[str, Any]], None], finding: str
) -> None:
    resources = copy.deepcopy(dict(expanded.resources))
    breaking(resources)
    assert finding in findings(Expanded(resources))
