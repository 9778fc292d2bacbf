"""What pipes keep of what they are told, and every kind of target that they lead to.

AWS documentation: Amazon EventBridge User Guide, «Amazon EventBridge Pipes event targets»; Amazon EventBridge
Pipes API Reference, «DescribePipe»; CloudFormation, AWS::Pipes::Pipe.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dlq_redrive.pipe_targets import PipeTarget, read_pipe
from local.account.testing import running_account
from local.pipes.testing import READING, StreamLab, eventually

NAMES_CHANGES = """
def handler(records, context):
    def named(record):
        change = record["dynamodb"]
        meta = {"change": record["eventName"].title(), "time": "2026-11-20T10:00:00Z",
                "id": change["Keys"]["id"]["S"]}
        return {"meta": meta, "source": record["eventSourceARN"],
                "exact": [12345678901234567890123, 1.5, 1e-7], "text": "straße ✓"}
    return [named(one) for one in records if not one["dynamodb"]["Keys"]["id"]["S"].startswith("skip")]
"""

TAKES = """
import json, os
def handler(records, context):
    taken = [record["dynamodb"]["Keys"]["id"]["S"] for record in records]
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(json.dumps(taken) + "\\n")
    failed = [one for one in records if one["dynamodb"]["Keys"]["id"]["S"] == "refused"]
    return {"batchItemFailures": [{"itemIdentifier": one["eventID"]} for one in failed]}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StreamLab]:
    parts = ("lambda_runtime", "stepfunctions", "cloudwatch", "sqs", "streams", "pipes")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        yield StreamLab(account)


@pytest.fixture(scope="module")
def names_changes(lab: StreamLab) -> str:
    return lab.function("names-changes", NAMES_CHANGES)


def _pipe(
    lab: StreamLab, name: str, target: str, right: str, written: Sequence[str] = (), **more: Any
) -> str:
    """A pipe whose role has the one right on its target, from a new table in which something is written
    already; returns its stream's ARN."""
    stream = lab.table(name)
    lab.put(name, written)
    role = lab.role(name, (READING, stream), (right, target), ("sqs:SendMessage", "*"))
    source = {"StartingPosition": "TRIM_HORIZON", "BatchSize": 10, **more.pop("source", {})}
    lab.client("pipes").create_pipe(
        Name=name,
        RoleArn=role,
        Source=stream,
        SourceParameters={"DynamoDBStreamParameters": source},
        Target=target,
        **more,
    )
    return stream


def _fault(lab: StreamLab, path: str, asked: dict[str, Any], method: str = "POST") -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", int(lab.account.endpoint.rpartition(":")[2]))
    try:
        connection.request(method, f"/_local/streams/{path}", json.dumps(asked))
        return json.load(connection.getresponse())
    finally:
        connection.close()


def test_a_write_comes_out_at_the_bus_as_its_enrichment_answered_it(
    lab: StreamLab, names_changes: str
) -> None:
    stream, (bus, url) = lab.table("to-bus"), lab.bus("to-bus")
    role = lab.role(
        "to-bus", (READING, stream), ("lambda:InvokeFunction", names_changes), ("events:PutEvents", bus)
    )
    others = {"dynamodb": {"Keys": {"id": {"S": [{"anything-but": ["#internal"]}]}}}}
    lab.client("pipes").create_pipe(
        Name="to-bus",
        RoleArn=role,
        Source=stream,
        SourceParameters={
            "FilterCriteria": {"Filters": [{"Pattern": json.dumps(others)}]},
            "DynamoDBStreamParameters": {"StartingPosition": "LATEST", "BatchSize": 10},
        },
        Enrichment=names_changes,
        Target=bus,
        TargetParameters={
            "EventBridgeEventBusParameters": {
                "Source": "records",
                "DetailType": "$.meta.change",
                "Resources": ["$.source"],
                "Time": "$.meta.time",
            }
        },
    )

    lab.put("to-bus", ["a", "#internal", "skip-this", "b"])
    told = [json.loads(body) for body in lab.messages(url, 2)]

    assert [event["detail"]["meta"]["id"] for event in told] == ["a", "b"]
    assert {(event["source"], event["detail-type"], event["resources"][0]) for event in told} == {
        ("records", "Insert", stream)
    }
    assert told[0]["detail"]["exact"] == [12345678901234567890123, 1.5, 1e-7]
    assert lab.nothing_more(url)


def test_a_write_comes_out_of_firehose(lab: StreamLab, names_changes: str) -> None:
    stream = lab.table("to-firehose")
    lab.client("s3").create_bucket(Bucket="lake")
    delivery = lab.client("firehose").create_delivery_stream(
        DeliveryStreamName="to-firehose",
        ExtendedS3DestinationConfiguration={
            "RoleARN": lab.role("delivery", ("s3:*", "*")),
            "BucketARN": "arn:aws:s3:::lake",
        },
    )["DeliveryStreamARN"]
    role = lab.role(
        "to-firehose",
        (READING, stream),
        ("lambda:InvokeFunction", names_changes),
        ("firehose:PutRecordBatch", delivery),
    )
    lab.client("pipes").create_pipe(
        Name="to-firehose",
        RoleArn=role,
        Source=stream,
        SourceParameters={"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON", "BatchSize": 100}},
        Enrichment=names_changes,
        Target=delivery,
    )

    lab.put("to-firehose", ["a"])
    listed = eventually(lambda: lab.client("s3").list_objects_v2(Bucket="lake").get("Contents"))
    body = lab.client("s3").get_object(Bucket="lake", Key=listed[0]["Key"])["Body"].read()

    assert json.loads(body)["meta"]["id"] == "a"
    assert b"12345678901234567890123, 1.5, 1e-07" in body


def test_a_fifo_queue_gets_templated_messages_by_group_with_their_digits(lab: StreamLab) -> None:
    url, queue = lab.queue("to-fifo.fifo", FifoQueue="true")
    _pipe(
        lab,
        "to-fifo",
        queue,
        "sqs:SendMessage",
        TargetParameters={
            "InputTemplate": '{"id": <$.dynamodb.Keys.id.S>, "n": <$.dynamodb.NewImage.n.N>}',
            "SqsQueueParameters": {"MessageGroupId": "$.id", "MessageDeduplicationId": "$.n"},
        },
    )
    lab.put("to-fifo", ["a"], n={"N": "12345678901234567890"})
    lab.put("to-fifo", ["b"], n={"N": "12345678901234567890"})
    lab.put("to-fifo", ["a"], n={"N": "0.1"})

    bodies = lab.messages(url, 2)

    assert bodies[0] == '{"id": "a", "n": "12345678901234567890"}'
    assert [json.loads(body)["n"] for body in bodies] == ["12345678901234567890", "0.1"]


def test_a_function_says_which_records_it_did_not_take(
    lab: StreamLab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    seen = tmp_path_factory.mktemp("seen") / "batches"
    role = lab.functions.role("takes")
    lab.functions.create("takes", role, TAKES, Environment={"Variables": {"SEEN": str(seen)}})
    arn = "arn:aws:lambda:us-east-1:000000000000:function:takes"
    dead_url, dead = lab.queue("to-function-dead")
    source = {"MaximumRetryAttempts": 1, "DeadLetterConfig": {"Arn": dead}}
    _pipe(lab, "to-function", arn, "lambda:InvokeFunction", ["a", "refused", "b"], source=source)

    (told,) = lab.messages(dead_url, 1)

    assert json.loads(told)["DDBStreamBatchInfo"]["batchSize"] == 1
    assert [json.loads(line) for line in seen.read_text().splitlines()] == [
        ["a", "refused", "b"],
        ["refused"],
    ]


def test_a_topic_gets_each_record(lab: StreamLab) -> None:
    topic = lab.client("sns").create_topic(Name="to-topic")["TopicArn"]
    url, queue = lab.queue("to-topic")
    allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": queue}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    lab.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    lab.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=queue, Attributes={"RawMessageDelivery": "true"}
    )
    _pipe(lab, "to-topic", topic, "sns:Publish", TargetParameters={"InputTemplate": "<$.eventName>!"})
    lab.put("to-topic", ["a", "b"])

    assert lab.messages(url, 2) == ["INSERT!"] * 2


def test_a_state_machine_is_started_with_the_batch(lab: StreamLab) -> None:
    states = lab.client("stepfunctions")
    machine = states.create_state_machine(
        name="to-states",
        roleArn=lab.role("machine"),
        definition=json.dumps({"StartAt": "End", "States": {"End": {"Type": "Pass", "End": True}}}),
    )["stateMachineArn"]
    _pipe(lab, "to-states", machine, "states:StartExecution")
    lab.put("to-states", ["a"])

    (started,) = eventually(lambda: states.list_executions(stateMachineArn=machine)["executions"])
    told = json.loads(states.describe_execution(executionArn=started["executionArn"])["input"])

    assert [record["dynamodb"]["Keys"] for record in told] == [{"id": {"S": "a"}}]


def test_a_template_keeps_everything_of_a_pipe_and_its_update_takes_away_what_is_gone(lab: StreamLab) -> None:
    (bus, _), formation = lab.bus("by-template"), lab.client("cloudformation")
    enrichment = "arn:aws:lambda:us-east-1:000000000000:function:enriches"
    properties: dict[str, Any] = {
        "Name": "by-template",
        "RoleArn": lab.role("by-template"),
        "Source": lab.table("by-template"),
        "SourceParameters": {
            "FilterCriteria": {"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]},
            "DynamoDBStreamParameters": {
                "StartingPosition": "TRIM_HORIZON",
                "BatchSize": {"Ref": "Size"},
                "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:000000000000:dead"},
            },
        },
        "Enrichment": enrichment,
        "EnrichmentParameters": {"InputTemplate": "<$.dynamodb>"},
        "Target": bus,
        "TargetParameters": {"EventBridgeEventBusParameters": {"Source": "hub", "DetailType": "$.change"}},
        "KmsKeyIdentifier": "arn:aws:kms:us-east-1:000000000000:key/hub",
    }
    template = {
        "Parameters": {"Size": {"Type": "Number", "Default": 7}},
        "Resources": {"Pipe": {"Type": "AWS::Pipes::Pipe", "Properties": properties}},
    }
    formation.create_stack(StackName="by-template", TemplateBody=json.dumps(template))
    formation.get_waiter("stack_create_complete").wait(StackName="by-template", WaiterConfig={"Delay": 1})
    created = lab.client("pipes").describe_pipe(Name="by-template")
    del properties["EnrichmentParameters"]
    formation.update_stack(StackName="by-template", TemplateBody=json.dumps(template))
    formation.get_waiter("stack_update_complete").wait(StackName="by-template", WaiterConfig={"Delay": 1})
    updated = lab.client("pipes").describe_pipe(Name="by-template")

    assert created["SourceParameters"]["DynamoDBStreamParameters"]["BatchSize"] == 7
    for member in ("Enrichment", "EnrichmentParameters", "TargetParameters", "KmsKeyIdentifier"):
        assert (
            created[member]
            == {**properties, "EnrichmentParameters": {"InputTemplate": "<$.dynamodb>"}}[member]
        )
    assert read_pipe(created) is None
    assert read_pipe(updated) == PipeTarget(bus, enrichment, "hub", "$.change")


def test_a_filter_with_an_operator_that_pipes_have_not_is_refused_when_it_is_made_and_when_changed(
    lab: StreamLab,
) -> None:
    pipes, (bus, _) = lab.client("pipes"), lab.bus("filtered")
    internal = {"dynamodb": {"Keys": {"id": {"S": [{"anything-but": {"prefix": "#"}}]}}}}
    criteria = {"Filters": [{"Pattern": json.dumps(internal)}]}
    source = {"StartingPosition": "LATEST", "ParallelizationFactor": 10}
    given = {
        "Name": "filtered",
        "RoleArn": lab.role("filtered"),
        "Source": lab.table("filtered"),
        "Target": bus,
    }

    with pytest.raises(ClientError, match=r"ValidationException.*anything-but prefix"):
        pipes.create_pipe(
            **given, SourceParameters={"FilterCriteria": criteria, "DynamoDBStreamParameters": source}
        )
    pipes.create_pipe(**given, SourceParameters={"DynamoDBStreamParameters": source})
    with pytest.raises(ClientError, match=r"ValidationException.*anything-but prefix"):
        pipes.update_pipe(
            Name="filtered", RoleArn=given["RoleArn"], SourceParameters={"FilterCriteria": criteria}
        )

    kept = pipes.describe_pipe(Name="filtered")["SourceParameters"]
    assert kept == {"DynamoDBStreamParameters": source}


def test_a_batch_that_its_enrichment_leaves_nothing_of_is_done_and_the_pipe_goes_on(
    lab: StreamLab, names_changes: str
) -> None:
    stream, (bus, url) = lab.table("emptied"), lab.bus("emptied")
    role = lab.role(
        "emptied", (READING, stream), ("lambda:InvokeFunction", names_changes), ("events:PutEvents", bus)
    )
    lab.client("pipes").create_pipe(
        Name="emptied",
        RoleArn=role,
        Source=stream,
        SourceParameters={"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON", "BatchSize": 1}},
        Enrichment=names_changes,
        Target=bus,
        TargetParameters={"EventBridgeEventBusParameters": {"Source": "hub", "DetailType": "Change"}},
    )
    lab.put("emptied", ["skip-1", "a", "skip-2", "skip-3", "b"])
    told = [json.loads(body)["detail"]["meta"]["id"] for body in lab.messages(url, 2)]
    assert told == ["a", "b"]
    assert lab.nothing_more(url)


def test_a_batch_that_is_too_large_for_its_target_is_refused(lab: StreamLab) -> None:
    bus, _ = lab.bus("refused")
    with pytest.raises(ClientError, match="BatchSize 11"):
        _pipe(lab, "refused", bus, "events:PutEvents", source={"BatchSize": 11})


def test_deliveries_are_shuffled_repeated_and_held_when_asked_for_and_never_lost(lab: StreamLab) -> None:
    bus, url = lab.bus("faulty")
    _fault(lab, "faults", {"shuffle": 1, "repeat": 0.5, "late": 1})
    written = [f"{number:02}" for number in range(30)]
    _pipe(lab, "faulty", bus, "events:PutEvents", written)

    first = _until_all(lab, url, written)
    lab.client("sqs").purge_queue(QueueUrl=url)
    _fault(lab, "faults", {"shuffle": None, "repeat": 0, "late": 0})
    released = _fault(lab, "release", {})["released"]
    late = _until_all(lab, url, written)

    assert list(dict.fromkeys(first)) != written
    assert len(first) > len(written)
    assert released
    assert set(late) == set(written)


def _until_all(lab: StreamLab, url: str, written: list[str]) -> list[str]:
    """What is delivered until everything that was written is among it."""
    delivered: list[str] = []
    while not set(delivered) >= set(written):
        delivered += _ids(lab.messages(url, 1))
    return delivered


def _ids(bodies: list[str]) -> list[str]:
    return [json.loads(body)["detail"]["dynamodb"]["Keys"]["id"]["S"] for body in bodies]


def test_a_fault_that_there_is_not_is_refused(lab: StreamLab) -> None:
    assert "probabilities" in _fault(lab, "faults", {"repeat": 2})["message"]


def test_an_event_that_a_rule_cannot_deliver_lies_in_the_dead_letter_queue_of_its_target(
    lab: StreamLab,
) -> None:
    events = lab.client("events")
    bus, _ = lab.bus("undelivered")
    (dead_url, dead), (_, closed) = lab.queue("undelivered-dead"), lab.queue("undelivered-closed")
    rule = events.put_rule(
        Name="undelivered", EventBusName="undelivered", EventPattern='{"source": ["hub"]}'
    )["RuleArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Resource": dead}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allow, "Action": "sqs:SendMessage"}]})
    lab.client("sqs").set_queue_attributes(QueueUrl=dead_url, Attributes={"Policy": policy})
    gone = "arn:aws:lambda:us-east-1:000000000000:function:gone"
    targets = [
        {"Id": str(number), "Arn": arn, "DeadLetterConfig": {"Arn": dead}}
        for number, arn in enumerate((closed, gone))
    ]
    events.put_targets(Rule="undelivered", EventBusName="undelivered", Targets=targets)
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    entry = {"Source": "hub", "DetailType": "Told", "Detail": '{"n": 1}', "EventBusName": bus, "Time": at}
    events.put_events(Entries=[entry])

    answer = lab.client("sqs").receive_message(
        QueueUrl=dead_url, MaxNumberOfMessages=10, WaitTimeSeconds=20, MessageAttributeNames=["All"]
    )["Messages"]
    told = {
        message["MessageAttributes"]["TARGET_ARN"]["StringValue"]: message["MessageAttributes"]
        for message in answer
    }

    assert {arn: one["ERROR_CODE"]["StringValue"] for arn, one in told.items()} == {
        closed: "NO_PERMISSIONS",
        gone: "NO_RESOURCE",
    }
    assert {one["RULE_ARN"]["StringValue"] for one in told.values()} == {rule}
    body = json.loads(answer[0]["Body"])
    assert (body["detail"], body["time"]) == ({"n": 1}, "2026-11-20T10:00:00Z")


def test_entries_that_are_no_events_are_refused_one_by_one(lab: StreamLab) -> None:
    bus, url = lab.bus("malformed")
    good = {"Source": "hub", "DetailType": "Told", "Detail": "{}", "EventBusName": bus}
    answer = lab.client("events").put_events(
        Entries=[{**good, "Detail": "[1]"}, good, {**good, "DetailType": ""}, {**good, "Detail": "{,}"}]
    )

    assert answer["FailedEntryCount"] == 3
    assert [one.get("ErrorCode") for one in answer["Entries"]] == [
        "MalformedDetail",
        None,
        "InvalidArgument",
        "MalformedDetail",
    ]
    assert len(lab.messages(url, 1)) == 1


def test_a_reset_ends_pipes_and_faults_and_a_pipe_of_the_same_name_works_after_it(lab: StreamLab) -> None:
    bus, _ = lab.bus("before-reset")
    _pipe(lab, "again", bus, "events:PutEvents")
    _fault(lab, "faults", {"shuffle": 1, "repeat": 1, "late": 1})
    connection = http.client.HTTPConnection("127.0.0.1", int(lab.account.endpoint.rpartition(":")[2]))
    connection.request("POST", "/_ministack/reset")
    assert connection.getresponse().status == 200
    connection.close()
    root = StreamLab(replace(lab.account, access_key_id="test", secret_access_key="test"))

    bus, url = root.bus("after-reset")
    _pipe(root, "again", bus, "events:PutEvents")
    root.put("again", ["a"])

    assert _ids(root.messages(url, 1)) == ["a"]
    assert root.nothing_more(url)
    assert _fault(root, "faults", {}, "GET") == {
        "shuffle": None,
        "repeat": 0,
        "late": 0,
        "lateSeconds": None,
        "held": 0,
    }
