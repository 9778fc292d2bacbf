"""Alarms of the local account: evaluated over exact metrics and periods, told at their topic.

AWS documentation: Amazon CloudWatch User Guide, «Alarm evaluation», «Configuring how CloudWatch alarms treat
missing data», «Using metric math»; CloudFormation, AWS::CloudWatch::Alarm.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.cloudwatch.testing import Topic, evaluate_alarms, listening_to
from local.lambda_runtime.testing import Functions

MEASURES_ITSELF = """
import json, time
def handler(event, context):
    metric = {"Name": "Quarantined", "Unit": "Count"}
    directive = {"Namespace": "Hub", "Dimensions": [["service"]], "Metrics": [metric]}
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    print(json.dumps({"_aws": about, "service": "hub", "Quarantined": 2}))
    if event == "fail":
        raise ValueError("as told")
"""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    parts = ("lambda_runtime", "stepfunctions", "cloudwatch")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        yield account


@pytest.fixture(scope="module")
def topic_arn(account: RunningAccount) -> str:
    arn: str = client(account, "sns").create_topic(Name="alarms")["TopicArn"]
    return arn


@pytest.fixture(scope="module")
def topic(account: RunningAccount, topic_arn: str) -> Iterator[Topic]:
    with listening_to(account, topic_arn) as topic:
        yield topic


def _put(account: RunningAccount, name: str, topic_arn: str, **metric: Any) -> None:
    """An alarm on one data point at or above 1 in five minutes, unless told otherwise."""
    members = {
        "AlarmName": name,
        "Statistic": "Sum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        "AlarmActions": [topic_arn],
        "OKActions": [topic_arn],
        **metric,
    }
    client(account, "cloudwatch").put_metric_alarm(**{k: v for k, v in members.items() if v is not None})


def _dimensions(**values: str) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in values.items()]


@pytest.fixture(scope="module")
def measuring_function(account: RunningAccount) -> str:
    functions = Functions(account)
    functions.create("measuring", functions.role("measuring"), MEASURES_ITSELF)
    return "measuring"


def test_a_metric_in_a_functions_log_sets_off_its_alarm_and_tells_the_topic(
    account: RunningAccount, topic_arn: str, topic: Topic, measuring_function: str
) -> None:
    metric = {"Namespace": "Hub", "MetricName": "Quarantined"}
    _put(account, "quarantined", topic_arn, **metric, Dimensions=_dimensions(service="hub"))
    _put(account, "of-another-stack", topic_arn, **metric, Dimensions=_dimensions(service="other"))

    Functions(account).invoke(measuring_function)
    states = evaluate_alarms(account)

    assert (states["quarantined"], states["of-another-stack"]) == ("ALARM", "OK")
    said = topic.says("quarantined", "ALARM")
    assert (said["OldStateValue"], said["Trigger"]["MetricName"]) == ("OK", "Quarantined")


def test_an_alarm_is_over_once_what_set_it_off_has_left_its_evaluation_range(
    account: RunningAccount, topic_arn: str, topic: Topic
) -> None:
    metric = {"Namespace": "Hub", "MetricName": "Once"}
    _put(account, "once", topic_arn, **metric)
    client(account, "cloudwatch").put_metric_data(
        Namespace="Hub", MetricData=[{"MetricName": "Once", "Value": 1}]
    )

    assert evaluate_alarms(account)["once"] == "ALARM"
    assert evaluate_alarms(account, after_seconds=1800)["once"] == "OK"
    topic.says("once", "OK")


def test_data_that_stops_coming_sets_off_an_alarm_that_treats_it_as_breaching(
    account: RunningAccount, topic_arn: str
) -> None:
    metric = {"Namespace": "Hub", "MetricName": "Age", "TreatMissingData": "breaching", "Threshold": 60}
    _put(account, "stale", topic_arn, **metric)
    client(account, "cloudwatch").put_metric_data(
        Namespace="Hub", MetricData=[{"MetricName": "Age", "Value": 5}]
    )

    assert evaluate_alarms(account)["stale"] == "OK"
    assert evaluate_alarms(account, after_seconds=1800)["stale"] == "ALARM"


def test_messages_in_a_queue_set_off_an_alarm_on_its_depth_until_they_are_gone(
    account: RunningAccount, topic_arn: str
) -> None:
    sqs = client(account, "sqs")
    url = sqs.create_queue(QueueName="dead-letters")["QueueUrl"]
    metric = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateNumberOfMessagesVisible",
        "Statistic": "Maximum",
    }
    _put(account, "depth", topic_arn, **metric, Dimensions=_dimensions(QueueName="dead-letters"), Period=60)

    before = evaluate_alarms(account)["depth"]
    sqs.send_message(QueueUrl=url, MessageBody="lost")
    filled = evaluate_alarms(account)["depth"]
    sqs.purge_queue(QueueUrl=url)
    emptied = evaluate_alarms(account, after_seconds=120)["depth"]

    assert (before, filled, emptied) == ("OK", "ALARM", "OK")


def _sum_of(namespace: str, metrics: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """Metric math: the sum of metrics of the namespace, given with their dimensions."""
    summed = [
        {
            "Id": f"m{number}",
            "ReturnData": False,
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": name,
                    "Dimensions": _dimensions(**dimensions),
                },
                "Period": 300,
                "Stat": "Sum",
            },
        }
        for number, (name, dimensions) in enumerate(metrics.items())
    ]
    return [{"Id": "all", "Expression": "SUM(METRICS())", "ReturnData": True}, *summed]


def test_a_failing_function_sets_off_an_alarm_by_metric_math(
    account: RunningAccount, topic_arn: str, measuring_function: str
) -> None:
    function = {"FunctionName": measuring_function}
    metrics = _sum_of("AWS/Lambda", {"Errors": function, "Throttles": function})
    _put(account, "errors", topic_arn, Metrics=metrics, Statistic=None, Period=None)

    before = evaluate_alarms(account)["errors"]
    Functions(account).invoke(measuring_function, "fail")

    assert (before, evaluate_alarms(account)["errors"]) == ("OK", "ALARM")


def test_a_failed_execution_sets_off_an_alarm_on_its_state_machine(
    account: RunningAccount, topic_arn: str
) -> None:
    role = Functions(account).role("fails")
    definition = {"StartAt": "Fail", "States": {"Fail": {"Type": "Fail", "Error": "AsTold"}}}
    states = client(account, "stepfunctions")
    arn = states.create_state_machine(name="fails", definition=json.dumps(definition), roleArn=role)[
        "stateMachineArn"
    ]
    machine = {"StateMachineArn": arn}
    metrics = _sum_of("AWS/States", {"ExecutionsFailed": machine, "ExecutionsAborted": machine})
    _put(account, "failed", topic_arn, Metrics=metrics, Statistic=None, Period=None)

    before = evaluate_alarms(account)["failed"]
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    while states.describe_execution(executionArn=execution)["status"] == "RUNNING":
        pass

    assert before == "OK"
    assert _comes_to(account, "failed", "ALARM")


def _comes_to(account: RunningAccount, alarm: str, state: str) -> bool:
    """Whether the alarm comes to the state; status changes are counted in a thread that nobody waits for."""
    return any(evaluate_alarms(account)[alarm] == state for _ in range(50))


TEMPLATE = {
    "Resources": {
        "Math": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "AlarmName": "deployed",
                "AlarmDescription": "What happened, and what to do.",
                "Metrics": _sum_of("Hub", {"Deployed": {}, "Other": {}}),
                "EvaluationPeriods": 1,
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "TreatMissingData": "notBreaching",
            },
        }
    }
}


def test_an_alarm_on_metric_math_is_deployed_by_cloudformation(account: RunningAccount) -> None:
    stacks, cloudwatch = client(account, "cloudformation"), client(account, "cloudwatch")
    stacks.create_stack(StackName="alarms", TemplateBody=json.dumps(TEMPLATE))
    stacks.get_waiter("stack_create_complete").wait(StackName="alarms", WaiterConfig={"Delay": 1})

    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["deployed"])["MetricAlarms"]
    assert alarm["AlarmDescription"] == "What happened, and what to do."
    assert [one["Id"] for one in alarm["Metrics"]] == ["all", "m0", "m1"]

    cloudwatch.put_metric_data(Namespace="Hub", MetricData=[{"MetricName": "Other", "Value": 1}])
    assert evaluate_alarms(account)["deployed"] == "ALARM"
