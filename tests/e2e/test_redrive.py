"""Dead letters of the deployed stack find their way back by an execution of its redrive workflow.

They lie in their queues because nobody took them in time, or were put there as the service that would send
them there writes them. The queues are emptied before and after each test, since one account is shared.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from local.soak.permissions.dead_letters import DeadLetters
from local.soak.permissions.stage import Stage
from local.testing.sample_events import SAMPLE_QUEUE, sample

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

START, CHECK = "StartExportDeadLetterQueue", "CheckExportDeadLetterQueue"
RULE = "CleanUpFailedRunFunctionExecutionEnded"
REPLAY = {"types": ["Patient"], "startedBy": "e2e"}
DEPTH = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


@dataclass(frozen=True)
class End:
    """How a redrive ended: the last state that it entered, its output, and why it failed."""

    state: str
    output: Any
    cause: str


@dataclass(frozen=True)
class Redrives:
    """Dead letters of the stack, and redrives of them."""

    stage: Stage
    letters: DeadLetters

    def run(self, queue: str | None = None, **request: Any) -> End:
        """Redrive one queue, or all of them, to the end."""
        if queue is not None:
            request["queueArn"] = self.letters.queue_arn(queue)
        return self.end_of(self.start(request))

    def run_sample(self, name: str, queue: str | None = None) -> End:
        """Redrive with an input of `events/`; the queue in it is exchanged for one of the stack."""
        written = json.dumps(sample(f"redrive_execution/{name}"))
        if queue is not None:
            arn = self.letters.queue_arn(queue)
            here = "arn:aws:sqs:us-east-1:123456789012"
            written = written.replace(f"{here}:{SAMPLE_QUEUE}", arn)
            written = written.replace(SAMPLE_QUEUE, arn.rpartition(":")[2])
        return self.end_of(self.start(json.loads(written)))

    def start(self, request: Mapping[str, Any]) -> str:
        arn: str = self.stage.client("stepfunctions").start_execution(
            stateMachineArn=self.stage.outputs["RedriveStateMachineArn"], input=json.dumps(request)
        )["executionArn"]
        return arn

    def end_of(self, arn: str) -> End:
        self.stage.wait_until(lambda: self.stage.describe(arn)["status"] != "RUNNING")
        pages = self.stage.client("stepfunctions").get_paginator("get_execution_history")
        entered = [
            event["stateEnteredEventDetails"]["name"]
            for page in pages.paginate(executionArn=arn)
            for event in page["events"]
            if "stateEnteredEventDetails" in event
        ]
        end = self.stage.describe(arn)
        return End(entered[-1], json.loads(end.get("output") or "null"), end.get("cause", ""))

    def waiting(self, queue: str) -> int:
        """How many messages a queue of the stack has, hidden ones too."""
        asked = self.stage.client("sqs").get_queue_attributes(
            QueueUrl=self.stage.physical_name(queue), AttributeNames=list(DEPTH)
        )["Attributes"]
        return sum(int(asked[name]) for name in DEPTH)

    def let_die(self, queue: str, dead_letters: str) -> None:
        """Take the message that comes to a queue and do nothing with it, until it is a dead letter."""
        url, sqs = self.stage.physical_name(queue), self.stage.client("sqs")

        def is_dead() -> bool:
            for _ in range(6):  # one more than it may be received, within the time of settling
                sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
            return self.waiting(dead_letters) > 0

        self.stage.wait_until(is_dead)

    @contextmanager
    def deaf(self, function: str) -> Iterator[None]:
        """Let a function take nothing from its queue."""
        functions, name = self.stage.client("lambda"), self.stage.physical_name(function)
        (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        try:
            yield
        finally:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    @contextmanager
    def stopped_run(self) -> Iterator[str]:
        """The ARN of an execution that was stopped while it exported, and that nobody cleans up after."""
        events, rule = self.stage.client("events"), self.stage.physical_name(RULE).rsplit("/", 1)[-1]
        arn = self.stage.start_and_hold()
        events.disable_rule(Name=rule)
        try:
            self.stage.stop(arn)
            yield arn
        finally:
            events.enable_rule(Name=rule)
            self.stage.no_faults()

    def completes(self, arn: str) -> bool:
        """Whether an export ends well."""
        self.stage.wait_until(lambda: self.stage.describe(arn)["status"] != "RUNNING")
        return bool('"COMPLETED"' in self.stage.describe(arn).get("output", ""))

    def quarantined(self) -> list[dict[str, Any]]:
        """The dead letters in quarantine, the latest first."""
        s3, bucket = self.stage.client("s3"), self.stage.outputs["HubBucketName"]
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="dead-letters/").get("Contents", [])
        latest = sorted(listed, key=lambda one: one["LastModified"], reverse=True)
        return [json.load(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"]) for one in latest]


@pytest.fixture
def redrives(hub: "Hub") -> Iterator[Redrives]:
    stage = Stage(hub.account, hub.stack_name, hub.outputs)
    found = Redrives(stage, DeadLetters(stage))
    found.letters.settle()
    yield found
    found.letters.settle()


def event_of(arn: str) -> dict[str, Any]:
    """What Step Functions tells of an execution that was stopped."""
    detail = {"executionArn": arn, "status": "ABORTED", "error": None, "cause": None}
    return {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": detail,
    }


def test_an_export_whose_start_died_goes_on_when_sqs_moves_the_message_back(redrives: Redrives) -> None:
    with redrives.deaf("StartExportFunction"):
        export = redrives.stage.start(REPLAY)
        redrives.let_die("StartExportQueue", START)

    end = redrives.run(START, mode="bulk")

    assert end.state == "Redriven", end
    assert redrives.completes(export)


def test_an_export_whose_check_died_goes_on_when_the_message_is_counted_and_sent_back(
    redrives: Redrives,
) -> None:
    redrives.stage.fault("drop-events", count=100)
    with redrives.deaf("CheckExportFunction"):
        export = redrives.stage.start(REPLAY)
        redrives.let_die("CheckExportQueue", CHECK)
    redrives.stage.no_faults()

    end = redrives.run_sample("one_queue_counted", CHECK)

    assert end.state == "Redriven", end
    assert redrives.completes(export)


def by_rule(redrives: Redrives, arn: str) -> str:
    target = redrives.letters.function_arn("CleanUpFailedRunFunction")
    event, rule = json.dumps(event_of(arn)), "CleanUpFailedRunFunctionExecutionEnded"
    redrives.letters.put_by_rule("ExecutionEndedDeadLetterQueue", rule, event, target)
    return "ExecutionEndedDeadLetterQueue"


def by_lambda(redrives: Redrives, arn: str) -> str:
    context = {"functionArn": redrives.letters.function_arn("CleanUpFailedRunFunction")}
    record = {"version": "1.0", "requestContext": context, "requestPayload": event_of(arn)}
    redrives.letters.put("CleanUpDeadLetterQueue", json.dumps(record))
    return "CleanUpDeadLetterQueue"


@pytest.mark.parametrize("sent", [by_rule, by_lambda])
def test_a_stopped_run_is_cleaned_up_once_the_event_about_it_is_redriven(
    redrives: Redrives, sent: Callable[[Redrives, str], str]
) -> None:
    with redrives.stopped_run() as arn:
        queue = sent(redrives, arn)
        assert redrives.stage.state()["owner"] == arn

        end = redrives.run_sample("alarm_went_off", queue)

        assert end.state == "Redriven", end
        redrives.stage.wait_until(lambda: "owner" not in redrives.stage.state())


def test_a_run_that_the_schedule_could_not_start_is_started_once(redrives: Redrives, hub: "Hub") -> None:
    machine = redrives.stage.outputs["ExportStateMachineArn"]
    moment = str(time.time_ns())
    body = json.dumps(REPLAY)
    redrives.letters.put_by_schedule("ExportScheduleDeadLetterQueue", "export", body, machine, moment)

    assert redrives.run("ExportScheduleDeadLetterQueue").state == "Redriven"

    (started,) = [one for one in hub.executions.recent(3) if one["name"].startswith("redrive-")]
    assert redrives.completes(started["executionArn"])
    assert json.loads(redrives.stage.describe(started["executionArn"])["input"]) == REPLAY


def test_what_dies_again_is_returned_and_goes_to_quarantine_whole_when_it_was_sent_back_often_enough(
    redrives: Redrives,
) -> None:
    poison = f"poison {time.time_ns()}"
    with redrives.deaf("StartExportFunction"):
        redrives.letters.put(START, poison, Clinic="north")
        first = redrives.start({"queueArn": redrives.letters.queue_arn(START), "maxRedrives": 1})
        redrives.stage.wait_until(lambda: redrives.waiting(START) == 0)
        redrives.let_die("StartExportQueue", START)
        assert redrives.end_of(first).state == "Returned To DLQ"

        second = redrives.run(START, maxRedrives=1)

    assert second.state == "Quarantined", second
    assert redrives.waiting(START) == redrives.waiting("StartExportQueue") == 0
    letter = redrives.quarantined()[0]
    assert (letter["body"], letter["kind"], letter["redrives"]) == (poison, "sqs", 1)
    assert letter["messageAttributes"]["Clinic"]["StringValue"] == "north"


def test_a_dry_run_tells_what_would_happen_and_touches_nothing(redrives: Redrives) -> None:
    redrives.letters.put(START, "{}")
    redrives.letters.put("ExecutionEndedDeadLetterQueue", "{}")
    before = len(redrives.quarantined())

    end = redrives.run_sample("dry_run_of_all")

    assert (end.state, end.output["waiting"]) == ("Dry Run Reported", 2)
    told = {one["kind"]: one["forecast"] for one in end.output["queues"]}
    assert told["sqs"]["wouldRedrive"] == told["rule"]["wouldQuarantine"] == 1
    assert redrives.waiting(START) == redrives.waiting("ExecutionEndedDeadLetterQueue") == 1
    assert len(redrives.quarantined()) == before
    url = redrives.stage.physical_name(START)
    assert len(redrives.stage.client("sqs").receive_message(QueueUrl=url)["Messages"]) == 1


def test_where_nothing_died_there_is_nothing_to_redrive(redrives: Redrives) -> None:
    end = redrives.run()
    assert (end.state, end.output["waiting"]) == ("Nothing To Redrive", 0)


def test_a_wrong_input_is_refused_with_the_rule_that_it_broke(redrives: Redrives) -> None:
    end = redrives.run(mode="quickly")
    assert (end.state, end.cause) == ("Redrive Refused", "The input's 'mode' must be 'bulk' or 'counted'.")
