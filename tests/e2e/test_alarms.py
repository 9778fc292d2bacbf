"""Every alarm on exports and redrives goes off, is told at the topic, and is over.

Nearly all by what they are there for: a job that fails, resources that HealthLake cannot export, runs that
are held, messages in dead-letter queues, and redrives of them. What must last is put by hand, and so are
EventBridge's own metrics, which no local account has.
"""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from healthlake_export.table_keys import erasure_key
from local.account.clients import client
from local.cli import stack
from local.cli.executions import Executions, Finished
from local.cloudwatch.testing import Topic, evaluate_alarms, listening_to
from local.testing.patience import PATIENCE_SECONDS
from local.testing.template_reader import read

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

DAY = 86_400
PATIENTS = ("alarmed-1", "alarmed-2", "alarmed-3")
DEAD_LETTERS = (
    "EventBus",
    "ExportSchedule",
    "ExportJobEvents",
    "StartExport",
    "CheckExport",
    "CleanUp",
    "ExecutionEnded",
    "RedriveSchedule",
    "RedriveAlarm",
)
ALARMS = (
    "export-failed",
    "export-job-failed",
    "resources-quarantined",
    "resources-withheld",
    "resources-not-exported",
    "export-held",
    "exports-paused",
    "event-limit-exceeded",
    "healthlake-busy",
    "run-events-unpublished",
    "functions-throttled",
    "events-throttled",
    "watermark-stale",
    "event-bus-dead-letters",
    "export-schedule-dead-letters",
    "export-job-events-dead-letters",
    "start-export-dead-letters",
    "check-export-dead-letters",
    "clean-up-dead-letters",
    "execution-ended-dead-letters",
    "redrive-failed",
    "dead-letters-quarantined",
    "redrive-functions-throttled",
    "redrive-schedule-dead-letters",
    "redrive-alarm-dead-letters",
)


@dataclass(frozen=True)
class Operator:
    """What the tests do to the deployed stack."""

    hub: "Hub"
    functions: Mapping[str, str]

    def run(self, request: Mapping[str, Any]) -> Finished:
        executions = self.hub.executions
        return executions.follow(executions.start(dict(request)), lambda _state: None, lambda: None)

    def redrive(self, request: Mapping[str, Any]) -> Finished:
        executions = Executions(self.hub.account, self.hub.outputs["RedriveStateMachineArn"])
        return executions.follow(executions.start(dict(request)), lambda _state: None, lambda: None)

    def ask(self, **order: Any) -> None:
        """A fault of the local HealthLake."""
        url = f"{self.hub.account.endpoint}/_local/healthlake/faults"
        urllib.request.urlopen(urllib.request.Request(url, json.dumps(order).encode(), method="POST")).close()

    @contextmanager
    def setting(self, name: str, value: str, *functions: str) -> Iterator[None]:
        """Another value of a setting for functions, for as long as the block lasts."""
        api = client(self.hub.account, "lambda")
        before = {
            function: api.get_function_configuration(FunctionName=self.functions[function])["Environment"][
                "Variables"
            ]
            for function in functions
        }
        for function, variables in before.items():
            changed = {"Variables": {**variables, name: value}}
            api.update_function_configuration(FunctionName=self.functions[function], Environment=changed)
        try:
            yield
        finally:
            for function, variables in before.items():
                api.update_function_configuration(
                    FunctionName=self.functions[function], Environment={"Variables": variables}
                )

    def invoke(self, function: str) -> None:
        client(self.hub.account, "lambda").invoke(FunctionName=self.functions[function], Payload=b"{}")

    def queue_url(self, name: str) -> str:
        """A dead-letter queue."""
        url: str = client(self.hub.account, "cloudformation").describe_stack_resource(
            StackName=self.hub.stack_name, LogicalResourceId=f"{name}DeadLetterQueue"
        )["StackResourceDetail"]["PhysicalResourceId"]
        return url

    def queue_urls(self) -> list[str]:
        """The dead-letter queues."""
        return [self.queue_url(name) for name in DEAD_LETTERS]

    def discard(self, queue_name: str) -> None:
        """Delete what lies of a queue in quarantine."""
        s3, bucket = client(self.hub.account, "s3"), self.hub.outputs["HubBucketName"]
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"dead-letters/{queue_name}/")
        for one in listed.get("Contents", []):
            s3.delete_object(Bucket=bucket, Key=one["Key"])

    def put_earlier(self, namespace: str, metric: str, dimensions: Mapping[str, str], minutes: int) -> None:
        """What would have been measured before, had it lasted as long: nobody waits for an hour here."""
        client(self.hub.account, "cloudwatch").put_metric_data(
            Namespace=namespace,
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                    "Timestamp": datetime.now(UTC) - timedelta(minutes=ago),
                    "Value": 1,
                }
                for ago in range(1, minutes, 4)
            ],
        )


@pytest.fixture(scope="module")
def operator(hub: "Hub") -> Iterator[Operator]:
    """Patients to export, and a stack that is as it was for the tests to come."""
    operator = Operator(hub, stack.functions(hub.account, hub.stack_name))
    for patient in PATIENTS:
        body = json.dumps({"resourceType": "Patient", "id": patient, "active": True}).encode()
        assert hub.fhir.put(f"Patient/{patient}", body).status in (200, 201)
    yield operator
    for patient in PATIENTS:
        assert hub.fhir.request("DELETE", f"Patient/{patient}").status in (200, 204)


@pytest.fixture(scope="module")
def topic(hub: "Hub", operator: Operator) -> Iterator[Topic]:
    """The stack's topic, with every alarm quiet again after what other tests have done."""
    _deploy_what_only_a_schedule_has(hub)
    for url in operator.queue_urls():
        client(hub.account, "sqs").purge_queue(QueueUrl=url)
    with listening_to(hub.account, hub.outputs["AlarmTopicArn"]) as topic:
        evaluate_alarms(hub.account, after_seconds=DAY)
        yield topic


def _deploy_what_only_a_schedule_has(hub: "Hub") -> None:
    """The local stack has no schedule, so its alarm on a stale watermark is put as the template has it."""
    values = {"AWS::StackName": hub.stack_name, "StaleAfterSeconds": 3600}
    written = read(Path(__file__).parents[2] / "template.yaml")["Resources"]["WatermarkStaleAlarm"][
        "Properties"
    ]
    taken = ("Metrics", "EvaluationPeriods", "Threshold", "ComparisonOperator", "TreatMissingData")
    topic = [hub.outputs["AlarmTopicArn"]]
    client(hub.account, "cloudwatch").put_metric_alarm(
        **_resolved({name: written[name] for name in taken}, values),
        AlarmName=f"{hub.stack_name}-watermark-stale",
        AlarmActions=topic,
        OKActions=topic,
    )


def _resolved(value: Any, values: Mapping[str, Any]) -> Any:
    """A part of the template with what it refers to put in."""
    match value:
        case {"Ref": name}:
            return values[name]
        case dict():
            return {key: _resolved(inner, values) for key, inner in value.items()}
        case list():
            return [_resolved(inner, values) for inner in value]
    return value


def _a_job_fails(operator: Operator) -> None:
    operator.ask(fault="fail-next-job")
    assert operator.run({}).status == "FAILED"


def _three_held_runs_the_first_with_too_many_events_and_one_of_the_schedule(operator: Operator) -> None:
    with operator.setting("ON_EXPORT_ERRORS", "hold", "AdvanceWatermarkFunction"):
        with operator.setting("MAX_EVENTS_PER_RUN", "1", "PlanRangesFunction", "ProcessRangeFunction"):
            assert _held(operator, full=True)["batched"] > 0
        for _ in range(2):
            _held(operator)
    assert operator.run({"startedBy": "schedule"}).output["status"] == "PAUSED"


def _held(operator: Operator, **request: Any) -> Mapping[str, Any]:
    """The output of a run that HealthLake's errors hold."""
    operator.ask(fault="errors-in-next-job", resources=[{"resourceType": "Patient", "id": PATIENTS[0]}])
    output = operator.run(request).output
    assert output["held"] is True
    return output


def _healthlake_throttles_for_an_hour(operator: Operator) -> None:
    """The run ends what the held ones began: it moves the watermark."""
    operator.ask(fault="throttle", calls=1, action="StartFHIRExportJobWithPost")
    assert operator.run({}).output["status"] == "COMPLETED"
    service = {"service": operator.hub.stack_name}
    operator.put_earlier("HealthLakeHub", "HealthLakeBusy", service, minutes=60)


def _the_events_of_runs_are_not_taken(operator: Operator) -> None:
    with operator.setting("HUB_TABLE", "no-such-table", "PublishRunEventsFunction"):
        for _ in range(3):
            operator.invoke("PublishRunEventsFunction")


def _lambda_and_eventbridge_throttle(operator: Operator) -> None:
    for name in ("PlanRangesFunction", "PlanRedriveFunction"):
        function = {"FunctionName": operator.functions[name]}
        operator.put_earlier("AWS/Lambda", "Throttles", function, minutes=16)
    operator.put_earlier("AWS/Events", "PutEventsApproximateThrottledCount", {}, minutes=16)


def _an_erased_patient_is_still_in_healthlake(operator: Operator) -> None:
    table = client(operator.hub.account, "dynamodb")
    erased = erasure_key(operator.hub.outputs["DatastoreId"], PATIENTS[1])
    table.put_item(TableName=operator.hub.outputs["HubTableName"], Item=erased)
    try:
        assert operator.run({"full": True}).output["withheld"] == 1
    finally:
        table.delete_item(TableName=operator.hub.outputs["HubTableName"], Key=erased)


def _a_redrive_is_refused(operator: Operator) -> None:
    assert operator.redrive({"mode": "quickly"}).status == "FAILED"


def _a_redrive_meets_a_letter_that_does_not_say_where_it_was_bound_for(operator: Operator) -> None:
    sqs, url = client(operator.hub.account, "sqs"), operator.queue_url("ExportJobEvents")
    sqs.send_message(QueueUrl=url, MessageBody="{}")
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    try:
        assert operator.redrive({"queueArn": arn}).status == "SUCCEEDED"
    finally:
        operator.discard(url.rpartition("/")[2])


def _letters_cannot_be_delivered(operator: Operator) -> None:
    for url in operator.queue_urls():
        client(operator.hub.account, "sqs").send_message(QueueUrl=url, MessageBody="{}")


CAUSES: tuple[Callable[[Operator], None], ...] = (
    _a_job_fails,
    _three_held_runs_the_first_with_too_many_events_and_one_of_the_schedule,
    _healthlake_throttles_for_an_hour,
    _an_erased_patient_is_still_in_healthlake,
    _the_events_of_runs_are_not_taken,
    _lambda_and_eventbridge_throttle,
    _a_redrive_is_refused,
    _a_redrive_meets_a_letter_that_does_not_say_where_it_was_bound_for,
    _letters_cannot_be_delivered,
)


@dataclass(frozen=True)
class Told:
    """The states that alarms had once everything had gone wrong, and in the silence after."""

    states: Mapping[str, str]
    after_two_hours: Mapping[str, str]
    a_day_later: Mapping[str, str]
    topic: Topic
    prefix: str


@pytest.fixture(scope="module")
def told(hub: "Hub", operator: Operator, topic: Topic) -> Told:
    for cause in CAUSES:
        cause(operator)
    states = _once_counted(hub)
    for url in operator.queue_urls():
        client(hub.account, "sqs").purge_queue(QueueUrl=url)
    return Told(
        states,
        evaluate_alarms(hub.account, after_seconds=7200),
        evaluate_alarms(hub.account, after_seconds=DAY),
        topic,
        f"{hub.stack_name}-",
    )


def _once_counted(hub: "Hub") -> Mapping[str, str]:
    """The states once Step Functions has counted the runs, which it does in its own time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    counted = {f"{hub.stack_name}-export-failed", f"{hub.stack_name}-redrive-failed"}
    states = evaluate_alarms(hub.account)
    while {states[name] for name in counted} != {"ALARM"} and time.monotonic() < deadline:
        states = evaluate_alarms(hub.account)
    return states


def test_the_alarms_are_those_of_the_stack(told: Told) -> None:
    """Those of the change streams go off in test_every_alarm.py."""
    alarms = {name.removeprefix(told.prefix) for name in told.states if name.startswith(told.prefix)}
    assert set(ALARMS) <= alarms


@pytest.mark.parametrize("alarm", [alarm for alarm in ALARMS if alarm != "watermark-stale"])
def test_an_alarm_goes_off_and_is_over_when_its_cause_is(told: Told, alarm: str) -> None:
    name = told.prefix + alarm

    assert (told.states[name], told.a_day_later[name]) == ("ALARM", "OK")
    message = told.topic.says(name, "ALARM")
    assert f"docs/runbook.md#{alarm}" in message["AlarmDescription"]
    told.topic.says(name, "OK")


def test_a_watermark_is_stale_when_no_run_starts_any_more(told: Told) -> None:
    name = f"{told.prefix}watermark-stale"

    assert (told.states[name], told.after_two_hours[name]) == ("OK", "ALARM")
    told.topic.says(name, "ALARM")
