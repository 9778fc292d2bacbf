"""Every function has sample events, in the shape in which its service sends them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from common.errors import InvalidInput
from dlq_redrive.arns import Home
from dlq_redrive.queue_plan import QueuePlan
from dlq_redrive.redrive_request import parse_redrive_request
from local.testing.sample_events import BETWEEN, EVENTS, INPUTS, SAMPLE_QUEUE, SAMPLES, sample
from local.testing.state_machine_reader import placeholders, states
from local.testing.template_reader import Expanded, references
from transitions.detection import detect, read
from transitions.rules import load_rules

# AWS Lambda Developer Guide, "Using Lambda with Amazon SQS": an example message of a standard queue.
SQS_RECORD = {
    "messageId",
    "receiptHandle",
    "body",
    "attributes",
    "messageAttributes",
    "md5OfBody",
    "eventSource",
    "eventSourceARN",
    "awsRegion",
}
SQS_ATTRIBUTES = {
    "ApproximateReceiveCount",
    "SentTimestamp",
    "SenderId",
    "ApproximateFirstReceiveTimestamp",
}

# AWS Lambda Developer Guide, "Invoking Lambda functions with Amazon SNS notifications".
SNS_MESSAGE = {
    "Type",
    "MessageId",
    "TopicArn",
    "Subject",
    "Message",
    "Timestamp",
    "SignatureVersion",
    "Signature",
    "SigningCertUrl",
    "UnsubscribeUrl",
    "MessageAttributes",
}

# Amazon S3 User Guide, "Event message structure".
S3_RECORD = {
    "eventVersion",
    "eventSource",
    "awsRegion",
    "eventTime",
    "eventName",
    "userIdentity",
    "requestParameters",
    "responseElements",
    "s3",
}

# AWS Lambda Developer Guide, "Using Lambda with DynamoDB": an example event.
STREAM_RECORD = {
    "eventID",
    "eventName",
    "eventVersion",
    "eventSource",
    "awsRegion",
    "dynamodb",
    "eventSourceARN",
}
STREAM_CHANGE = {
    "ApproximateCreationDateTime",
    "Keys",
    "SequenceNumber",
    "SizeBytes",
    "StreamViewType",
}

# Amazon EventBridge User Guide, "AWS service event metadata".
BUS_EVENT = {
    "version",
    "id",
    "detail-type",
    "source",
    "account",
    "time",
    "region",
    "resources",
    "detail",
}

# AWS Step Functions Developer Guide, "Automating event delivery with EventBridge".
STATUS_CHANGE = {
    "executionArn",
    "stateMachineArn",
    "name",
    "status",
    "startDate",
    "stopDate",
    "input",
    "inputDetails",
    "output",
    "outputDetails",
    "error",
    "cause",
}

# AWS HealthLake Developer Guide, "Amazon EventBridge events for HealthLake": export jobs.
EXPORT_JOB = {"jobId", "submitTime", "datastoreId", "outputDataConfig"}

# Amazon CloudWatch User Guide, "Alarm events and EventBridge": a single metric alarm.
ALARM = {"alarmName", "configuration", "previousState", "state"}

# A change of an item whose type has a FHIR resource, and whose numbers a double carries.
RECORD = {"meta", "new", "changed", "resource"}
# A change that refers to what it tells.
REFERENCE = {"meta", "reference"}

DETAILS = {
    "aws.states": STATUS_CHANGE,
    "aws.healthlake": EXPORT_JOB,
    "aws.cloudwatch": ALARM,
    "healthlake-hub.records": RECORD,
}

Sample = tuple[str, Any]


def _samples() -> list[Sample]:
    return [
        (path.relative_to(EVENTS).as_posix(), json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(EVENTS.rglob("*.json"))
    ]


def _messages() -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, record)
        for name, event in _samples()
        if isinstance(event, dict)
        for record in event.get("Records", [])
        if record.get("eventSource") == "aws:sqs"
    ]


def _records_of(source: str) -> list[tuple[str, dict[str, Any]]]:
    """Records of another service, which each name it in their own way."""
    return [
        (name, record)
        for name, event in _samples()
        if isinstance(event, dict)
        for record in event.get("Records", [])
        if source in (record.get("eventSource"), record.get("EventSource"))
    ]


def _bus_events() -> list[Sample]:
    """Events that a function gets, in a message or not, and those that are the input of an execution."""
    samples = _samples()
    inputs = [(name, event["request"]) for name, event in samples if "request" in event]
    queued = [(name, json.loads(record["body"])) for name, record in _messages()]
    return [(name, event) for name, event in [*samples, *inputs, *queued] if "detail-type" in event]


def test_every_function_has_samples_and_every_sample_is_of_a_function_or_an_execution(
    template: dict[str, Any],
) -> None:
    def of_type(kind: str) -> set[str]:
        return {name for name, one in template["Resources"].items() if one["Type"] == kind}

    assert set(SAMPLES) == of_type("AWS::Serverless::Function")
    assert all(SAMPLES.values())
    assert set(INPUTS) <= of_type("AWS::StepFunctions::StateMachine")
    named = [name for files in (*SAMPLES.values(), *INPUTS.values(), BETWEEN) for name in files]
    assert sorted({f"{name}.json" for name in named}) == [name for name, _ in _samples()]
    # The consumers of changes are one function behind the queue of each type.
    shared = {name for name in named if named.count(name) > 1}
    assert shared <= {"fhir_writer/changes_were_received"}


def test_every_sample_is_named_for_what_happened() -> None:
    for name, _ in _samples():
        assert re.fullmatch(r"[a-z_]+/[a-z]+(_[a-z]+)+\.json", name), name


def test_functions_behind_a_queue_or_stream_have_samples_of_what_lambda_reads_there(
    expanded: Expanded,
) -> None:
    reads = {"AWS::SQS::Queue": "aws:sqs", "AWS::DynamoDB::Table": "aws:dynamodb"}
    for mapping in expanded.of_type("AWS::Lambda::EventSourceMapping").values():
        (function,), (source,) = references(mapping["FunctionName"]), references(mapping["EventSourceArn"])
        wanted = reads[expanded.resources[source]["Type"]]
        for name in SAMPLES[function]:
            assert {one["eventSource"] for one in sample(name)["Records"]} == {wanted}, name


def test_functions_behind_a_rule_have_a_sample_in_the_shape_of_eventbridge(expanded: Expanded) -> None:
    ruled = {
        function
        for permission in expanded.of_type("AWS::Lambda::Permission").values()
        for function in references(permission["FunctionName"])
    }
    for function in ruled - _subscribed(expanded):
        assert any("detail-type" in sample(name) for name in SAMPLES[function]), function


def _subscribed(expanded: Expanded) -> set[str]:
    subscriptions = expanded.of_type("AWS::SNS::Subscription").values()
    return {name for one in subscriptions for name in references(one["Endpoint"])}


def test_functions_behind_a_topic_have_samples_in_the_shape_of_sns(expanded: Expanded) -> None:
    functions = _subscribed(expanded) & SAMPLES.keys()
    assert functions == {"RecordUploadFunction"}
    for function in functions:
        for name in SAMPLES[function]:
            assert {one["EventSource"] for one in sample(name)["Records"]} == {"aws:sns"}, name


def test_functions_of_the_workflow_have_a_sample_with_the_payload_of_their_state(machine: Any) -> None:
    """The fields that the state passes on are the fields of the sample."""
    for placed in states(machine.definition):
        if str(placed.definition.get("Resource")).endswith(":lambda:invoke"):
            parameters = placed.definition["Parameters"]
            (supplied,) = placeholders(parameters["FunctionName"])
            fields = {field.removesuffix(".$") for field in parameters["Payload"]}
            samples = SAMPLES[supplied.removesuffix("Arn")]
            assert any(set(sample(name)) == fields for name in samples), placed.name


@pytest.mark.parametrize(("name", "record"), _messages())
def test_a_message_has_what_lambda_gives_for_sqs(name: str, record: dict[str, Any]) -> None:
    assert record.keys() == SQS_RECORD
    assert record["attributes"].keys() >= SQS_ATTRIBUTES
    assert record["eventSource"] == "aws:sqs"
    assert record["md5OfBody"] == hashlib.md5(record["body"].encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(("name", "record"), _records_of("aws:sns"))
def test_a_notification_has_what_sns_gives_a_function(name: str, record: dict[str, Any]) -> None:
    assert record.keys() == {"EventSource", "EventVersion", "EventSubscriptionArn", "Sns"}
    assert record["Sns"].keys() == SNS_MESSAGE
    message = json.loads(record["Sns"]["Message"])
    assert message.get("Event") == "s3:TestEvent" or all(
        one.keys() == S3_RECORD for one in message["Records"]
    )


@pytest.mark.parametrize(("name", "record"), _records_of("aws:dynamodb"))
def test_a_record_has_what_lambda_gives_for_a_stream(name: str, record: dict[str, Any]) -> None:
    assert record.keys() == STREAM_RECORD
    assert record["dynamodb"].keys() - {"OldImage", "NewImage"} == STREAM_CHANGE
    images = {"INSERT": {"NewImage"}, "MODIFY": {"OldImage", "NewImage"}, "REMOVE": {"OldImage"}}
    assert record["dynamodb"].keys() & {"OldImage", "NewImage"} == images[record["eventName"]]


def test_the_sample_transition_is_what_the_sample_record_leads_to() -> None:
    first, *_ = sample("transitions/jobs_were_changed")["Records"]
    (transition,) = detect(read(first), load_rules())
    (received,) = sample("transitions/transition_was_received")["Messages"]
    assert received["Body"] == transition.message().decode()
    assert received["Attributes"]["MessageGroupId"] == transition.group
    assert received["Attributes"]["MessageDeduplicationId"] == transition.transition_id


def test_the_sample_records_lead_to_every_shipped_rule() -> None:
    rules = load_rules()
    records = sample("transitions/jobs_were_changed")["Records"]
    met = {one.rule.name for record in records for one in detect(read(record), rules)}
    assert met == {one.name for ones in rules.values() for one in ones}


def test_records_that_were_given_up_are_kept_as_the_call_that_failed() -> None:
    given_up = sample("transitions/records_were_given_up")
    (record,) = json.loads(given_up["payload"])["Records"]
    assert record in sample("transitions/jobs_were_changed")["Records"]
    assert given_up["DDBStreamBatchInfo"]["startSequenceNumber"] == record["dynamodb"]["SequenceNumber"]


@pytest.mark.parametrize(("name", "event"), _bus_events())
def test_an_event_has_what_eventbridge_sends(name: str, event: dict[str, Any]) -> None:
    assert event.keys() == BUS_EVENT
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["time"])
    refers = "reference" in event["detail"]
    assert event["detail"].keys() == (REFERENCE if refers else DETAILS[event["source"]])


def test_an_event_of_each_source_is_among_the_samples() -> None:
    assert {event["source"] for _, event in _bus_events()} == DETAILS.keys()


def test_samples_match_the_rules_that_would_bring_them(expanded: Expanded) -> None:
    sources = {
        source
        for rule in expanded.of_type("AWS::Events::Rule").values()
        for source in rule["EventPattern"]["source"]
    }
    assert sources == {event["source"] for _, event in _bus_events()}


def test_samples_hold_no_account_but_the_one_of_the_documentation() -> None:
    for name, event in _samples():
        accounts = set(re.findall(r"(?<![\w-])\d{12}(?![\w-])", json.dumps(event)))
        assert accounts <= {"123456789012"}, name


def test_requests_of_a_redrive_are_right_and_the_one_with_an_unknown_field_is_not() -> None:
    home = Home("aws", "us-east-1", "123456789012")
    requests = {name: sample(name)["request"] for name in SAMPLES["PlanRedriveFunction"]}
    with pytest.raises(InvalidInput, match="'queue'"):
        parse_redrive_request(requests.pop("dlq_redrive/redrive_with_unknown_field"), home)
    started = {name: parse_redrive_request(one, home).started_by for name, one in requests.items()}
    assert started == {
        "dlq_redrive/daily_look_fired": "schedule",
        "dlq_redrive/positions_are_due": "schedule of positions",
        "dlq_redrive/alarm_went_off": "alarm",
        "dlq_redrive/redrive_requested": "on-call",
        "dlq_redrive/dry_run_requested": "on-call",
    }


def test_inputs_of_a_redrive_are_right_and_are_what_its_first_function_is_asked() -> None:
    home = Home("aws", "us-east-1", "123456789012")
    dry, counted, alarm, positions = (
        parse_redrive_request(sample(name), home) for name in INPUTS["RedriveStateMachine"]
    )
    assert (dry.dry_run, dry.queue_arn) == (True, None)
    assert (counted.mode, counted.dry_run) == ("counted", False)
    assert alarm.started_by == "alarm"
    assert positions.kinds == ("stream", "pipe")
    assert counted.queue_arn == alarm.queue_arn == home.queue_arn(SAMPLE_QUEUE)
    for name, event in INPUTS["RedriveStateMachine"].items():
        assert sample(event)["request"] == sample(name), name


def test_the_planned_queue_is_what_a_plan_becomes() -> None:
    plan = sample("dlq_redrive/dead_letters_planned")["queue"]
    assert QueuePlan.from_state(plan).to_state() == plan


def test_every_sample_that_the_readme_names_is_there(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"events/([a-z_]+/[a-z_]+)\.json", readme))
    assert named & set(INPUTS["RedriveStateMachine"])
    assert [name for name in named if not (EVENTS / f"{name}.json").is_file()] == []
