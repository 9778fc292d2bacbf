"""Nothing that is sent can vanish: queues, rules, schedules and asynchronous calls keep what fails."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from local.testing.dead_letter_rules import DAY, dead_letter_kinds, findings
from local.testing.template_reader import Expanded, references


def test_nothing_that_is_sent_can_vanish(expanded: Expanded) -> None:
    assert findings(expanded) == []


def test_every_kind_of_sender_is_there_to_be_checked(expanded: Expanded) -> None:
    kinds = {kind for kinds in dead_letter_kinds(expanded).values() for kind in kinds}
    assert kinds == {"sqs", "rule", "bus", "schedule", "async", "pipe"}


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
