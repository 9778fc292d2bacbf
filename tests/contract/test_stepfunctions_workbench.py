"""The workbench: functions, queues and buses behave as Lambda, SQS and EventBridge do."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError, ReadTimeoutError

from local.stepfunctions.pace import Pace
from local.stepfunctions.workbench import Workbench, function_arn, substituted
from local.testing.patience import PATIENCE_SECONDS

FAST = Pace(delays=0.001, timeouts=0.1)
NOTHING = {"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}


def calling(function: str) -> dict[str, Any]:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        "OutputPath": "$.Payload",
        "End": True,
    }
    return {"StartAt": "Call", "States": {"Call": task}}


def test_a_definition_file_has_its_placeholders_replaced(tmp_path: Path) -> None:
    file = tmp_path / "machine.asl.json"
    file.write_text(json.dumps(calling("${EchoFunctionArn}")))
    substitutions = {"EchoFunctionArn": function_arn("echo")}
    with Workbench(file, substitutions, {"echo": lambda event, context: event}) as bench:
        assert bench.start({"a": 1}).wait().output == {"a": 1}


def test_placeholders_without_a_value_are_named() -> None:
    with pytest.raises(ValueError, match="no substitution for BucketName, QueueUrl"):
        substituted('{"a": "${QueueUrl}", "b": "${BucketName}"}', {})


def test_a_handler_gets_lambdas_context() -> None:
    def describe(event: Any, context: Any) -> Any:
        return {
            "name": context.function_name,
            "arn": context.invoked_function_arn,
            "request": context.aws_request_id,
            "left": context.get_remaining_time_in_millis(),
        }

    with Workbench(calling("describe"), {}, {"describe": describe}) as bench:
        output = bench.start().wait().output
    assert (output["name"], output["arn"]) == ("describe", function_arn("describe"))
    assert output["request"]
    assert output["left"] > 0


def test_payloads_go_through_json() -> None:
    event: dict[str, Any] = {"nested": {"list": [1]}}

    def change(received: Any, context: Any) -> Any:
        received["nested"]["list"].append(2)
        return {"tuple": (1, 2), 3: None}

    with Workbench(calling("change"), {}, {"change": change}) as bench:
        assert bench.invoke("change", event).result == {"tuple": [1, 2], "3": None}
        assert bench.calls("change")[0].event == event == {"nested": {"list": [1]}}


def test_a_function_is_swapped_for_a_fault() -> None:
    def broken(event: Any, context: Any) -> Any:
        raise TimeoutError("swapped")

    with Workbench(calling("f"), {}, {"f": lambda event, context: "well"}) as bench:
        assert bench.start().wait().output == "well"
        bench.functions["f"] = broken
        assert bench.start().wait().error == "TimeoutError"


def queue(name: str, **attributes: str) -> tuple[str, str]:
    sqs: Any = boto3.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return url, arn


def left_in(url: str) -> int:
    sqs: Any = boto3.client("sqs")
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(attributes[name]) for name in names)


def test_messages_reach_the_function_in_lambdas_shape() -> None:
    with Workbench(NOTHING, {}, {"take": lambda event, context: None}, pace=FAST) as bench:
        url, arn = queue("q")
        bench.connect_queue(url, "take")
        sent = boto3.client("sqs").send_message(
            QueueUrl=url,
            MessageBody="body",
            MessageAttributes={"kind": {"DataType": "String", "StringValue": "check"}},
        )
        bench.wait_until(lambda: bool(bench.calls("take")))
        (record,) = bench.calls("take")[0].event["Records"]
        assert record["messageId"] == sent["MessageId"]
        assert (record["body"], record["eventSource"], record["eventSourceARN"]) == ("body", "aws:sqs", arn)
        assert record["attributes"]["ApproximateReceiveCount"] == "1"
        assert record["messageAttributes"]["kind"]["stringValue"] == "check"
        assert record["receiptHandle"]
        bench.wait_until(lambda: left_in(url) == 0)


def test_messages_named_as_failed_come_again_and_the_others_do_not() -> None:
    def take(event: Any, context: Any) -> Any:
        again = [
            {"itemIdentifier": record["messageId"]}
            for record in event["Records"]
            if record["body"] == "bad" and record["attributes"]["ApproximateReceiveCount"] == "1"
        ]
        return {"batchItemFailures": again}

    with Workbench(NOTHING, {}, {"take": take}, pace=FAST) as bench:
        url, _ = queue("q")
        entries: Any = [{"Id": body, "MessageBody": body} for body in ("good", "bad")]
        boto3.client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
        bench.connect_queue(url, "take")
        bench.wait_until(lambda: len(bench.calls("take")) >= 2 and left_in(url) == 0)
        taken = [record["body"] for call in bench.calls("take") for record in call.event["Records"]]
        assert sorted(taken) == ["bad", "bad", "good"]


def test_a_message_whose_function_keeps_failing_ends_in_the_dead_letter_queue() -> None:
    def fail(event: Any, context: Any) -> Any:
        raise RuntimeError("always")

    with Workbench(NOTHING, {}, {"fail": fail}, pace=FAST) as bench:
        dead_url, dead_arn = queue("dead")
        policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 3})
        url, _ = queue("q", RedrivePolicy=policy)
        bench.connect_queue(url, "fail")
        boto3.client("sqs").send_message(QueueUrl=url, MessageBody="x")
        bench.wait_until(lambda: left_in(dead_url) == 1)
        assert len(bench.calls("fail")) == 3


def test_a_queues_delay_follows_the_pace_and_is_recorded() -> None:
    with Workbench(NOTHING, {}, {"take": lambda event, context: None}, pace=FAST) as bench:
        url, _ = queue("q")
        bench.connect_queue(url, "take")
        boto3.client("sqs").send_message(QueueUrl=url, MessageBody="x", DelaySeconds=900)
        bench.wait_until(lambda: bool(bench.calls("take")), timeout=PATIENCE_SECONDS)
        assert bench.queue_delays == [900]


def test_entries_put_on_a_bus_are_kept_as_targets_get_them() -> None:
    with Workbench(NOTHING, {}, {}) as bench:
        events: Any = boto3.client("events")
        events.create_event_bus(Name="hub")
        entry = {"Source": "healthlake-hub", "DetailType": "Changed", "Detail": json.dumps({"n": 1})}
        put = events.put_events(Entries=[{**entry, "EventBusName": "hub"}])
        (event,) = bench.events
        assert event["id"] == put["Entries"][0]["EventId"]
        assert (event["bus"], event["source"], event["detail-type"]) == ("hub", "healthlake-hub", "Changed")
        assert event["detail"] == {"n": 1}


def test_a_rule_delivers_matching_events_to_its_function() -> None:
    with Workbench(NOTHING, {}, {"clean-up": lambda event, context: None}) as bench:
        pattern = {"source": ["aws.states"], "detail": {"status": ["ABORTED", "SUCCEEDED"]}}
        bench.connect_rule(pattern, "clean-up")
        run = bench.start().wait()
        bench.wait_until(lambda: bool(bench.calls("clean-up")))
        (call,) = bench.calls("clean-up")
        assert call.event["detail"]["executionArn"] == run.arn
        assert call.event["detail"]["status"] == "SUCCEEDED"


def test_leaving_the_bench_stops_executions_pumps_and_threads() -> None:
    before = set(threading.enumerate())
    wait = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    with Workbench(wait, {}, {"take": lambda event, context: None}) as bench:
        url, _ = queue("q")
        bench.connect_queue(url, "take")
        run = bench.start()
    assert run.status == "ABORTED"
    assert set(threading.enumerate()) <= before


def test_leaving_the_bench_waits_for_a_function_that_outlives_its_execution() -> None:
    began = threading.Event()

    def outlive(event: Any, context: Any) -> None:
        began.set()
        bench.runs[0].wait()
        for number in range(50):
            boto3.client("sqs").create_queue(QueueName=f"q{number}")

    with Workbench(calling("outlive"), {}, {"outlive": outlive}) as bench:
        run = bench.start()
        assert began.wait(PATIENCE_SECONDS)
    assert run.status == "ABORTED"
    assert [call.error for call in bench.calls("outlive")] == [None]


def test_a_call_that_hangs_until_the_bench_is_left_is_never_made() -> None:
    with Workbench(calling("echo"), {}, {"echo": lambda event, context: event}) as bench:
        bench.call_faults.plan("Call", bench.call_faults.hang)
        bench.start()
        bench.wait_until(lambda: not bench.call_faults.left)
    assert bench.calls("echo") == []


def test_a_run_that_does_not_end_in_time_says_where_it_is() -> None:
    wait = {"StartAt": "Wait Long", "States": {"Wait Long": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    with Workbench(wait, {}, {}) as bench:
        run = bench.start()
        bench.wait_until(lambda: bool(run.path))
        with pytest.raises(TimeoutError, match="Wait Long"):
            run.wait(0.05)


def test_conditional_writes_of_threads_are_decided_one_at_a_time() -> None:
    def put(event: Any, context: Any) -> Any:
        boto3.client("dynamodb").put_item(
            TableName="t", Item={"pk": {"S": "lock"}}, ConditionExpression="attribute_not_exists(pk)"
        )

    with Workbench(calling("put"), {}, {"put": put}) as bench:
        boto3.client("dynamodb").create_table(
            TableName="t",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        runs = [bench.start() for _ in range(8)]
        statuses = sorted(run.wait().status for run in runs)
    assert statuses == ["FAILED"] * 7 + ["SUCCEEDED"]


def test_planned_faults_are_met_by_the_calls_of_their_state_one_each() -> None:
    def refuse(_call: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="https://lambda.us-east-1.amazonaws.com/")

    def lose_the_answer(call: Any) -> Any:
        call()
        raise ReadTimeoutError(endpoint_url="https://lambda.us-east-1.amazonaws.com/")

    definition = calling("echo")
    definition["States"]["Call"]["Retry"] = [{"ErrorEquals": ["States.TaskFailed"], "MaxAttempts": 5}]
    with Workbench(definition, {}, {"echo": lambda event, context: event}, pace=FAST) as bench:
        bench.call_faults.plan("Call", refuse, lose_the_answer)
        bench.call_faults.plan("Another State", refuse)
        run = bench.start({"a": 1}).wait()
        assert run.output == {"a": 1}
        failures = [event["taskFailedEventDetails"] for event in run.history if event["type"] == "TaskFailed"]
        assert [failure["error"] for failure in failures] == [
            "Lambda.SdkClientException",
            "Lambda.ClientExecutionTimeoutException",
        ]
        assert len(bench.calls("echo")) == 2
        assert bench.call_faults.left == {"Another State": 1}


def test_an_updated_definition_is_run_by_the_executions_that_start_from_then_on() -> None:
    waiting = {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 1, "Next": "Done"}}}
    waiting["States"] |= NOTHING["States"]  # type: ignore[operator]
    with Workbench(waiting, {}, {}, pace=FAST) as bench:
        before = bench.start()
        bench.update(NOTHING)
        assert (before.wait().path, bench.start().wait().path) == (
            ["Wait", "Done"],
            ["Done"],
        )
