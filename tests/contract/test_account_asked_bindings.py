"""What a redrive asks about the targets that messages name, in the local account: answers and permissions.

AWS documentation: «Actions, resources, and condition keys» for AWS Lambda, for Amazon EventBridge and for
EventBridge Scheduler (Service Authorization Reference); «GetFunctionEventInvokeConfig» (AWS Lambda API
Reference).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.account.testing import running_account
from local.lambda_runtime.testing import Functions

ASKS = """
import boto3
from botocore.exceptions import ClientError

def handler(event, context):
    try:
        answer = getattr(boto3.client(event["service"]), event["operation"])(**event["request"])
    except ClientError as error:
        return str(error)
    return answer[event["wanted"]]
"""
HERE = "us-east-1:000000000000"
QUEUE = f"arn:aws:sqs:{HERE}:dead"
FUNCTION = f"arn:aws:lambda:{HERE}:function:asked"
CONFIG = ("lambda", "get_function_event_invoke_config", {"FunctionName": FUNCTION}, "DestinationConfig")
TARGETS = ("events", "list_targets_by_rule", {"Rule": "own-rule"}, "Targets")
ON_A_BUS = ("events", "list_targets_by_rule", {"Rule": "own-rule", "EventBusName": "own-bus"}, "Targets")
SCHEDULE = ("scheduler", "get_schedule", {"Name": "own-schedule", "GroupName": "default"}, "Target")
ALLOWED = {
    "lambda:GetFunctionEventInvokeConfig": FUNCTION,
    "events:ListTargetsByRule": f"arn:aws:events:{HERE}:rule/own-*",
    "scheduler:GetSchedule": f"arn:aws:scheduler:{HERE}:schedule/*/own-*",
}
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAccount]:
    parts = ("lambda_runtime", "cloudwatch")
    with running_account(tmp_path_factory.mktemp("account"), parts=parts) as account:
        events = client(account, "events")
        events.create_event_bus(Name="own-bus")
        for bus, rule in (("default", "own-rule"), ("own-bus", "own-rule"), ("default", "other-rule")):
            events.put_rule(Name=rule, EventBusName=bus, EventPattern='{"source": ["nobody"]}')
            target: Any = {"Id": bus, "Arn": FUNCTION, "DeadLetterConfig": {"Arn": QUEUE}}
            events.put_targets(Rule=rule, EventBusName=bus, Targets=[target])
        schedule_target: Any = {"Arn": FUNCTION, "RoleArn": "arn:aws:iam::000000000000:role/any"}
        client(account, "scheduler").create_schedule(
            Name="own-schedule",
            ScheduleExpression="rate(1 day)",
            FlexibleTimeWindow={"Mode": "OFF"},
            State="DISABLED",
            Target={**schedule_target, "DeadLetterConfig": {"Arn": QUEUE}},
        )
        yield account


@pytest.fixture(scope="module")
def ask(account: RunningAccount) -> Ask:
    """Ask as a function that may ask about what is its own, or as one that may not."""
    functions = Functions(account)
    rights = tuple({"Effect": "Allow", "Action": one, "Resource": on} for one, on in ALLOWED.items())
    functions.create("asked", functions.role("asked", rights), ASKS)
    functions.create("may-not-ask", functions.role("may-not-ask"), ASKS)
    client(account, "lambda").put_function_event_invoke_config(
        FunctionName="asked",
        Qualifier="$LATEST",
        DestinationConfig={"OnSuccess": {}, "OnFailure": {"Destination": QUEUE}},
    )

    def asking(service: str, operation: str, request: Any, wanted: str, name: str = "asked") -> Any:
        event = {"service": service, "operation": operation, "request": request, "wanted": wanted}
        return functions.invoke(name, event).payload

    return asking


def test_a_function_says_where_its_failures_go_whoever_names_no_version(ask: Ask) -> None:
    assert ask(*CONFIG)["OnFailure"] == {"Destination": QUEUE}


@pytest.mark.parametrize(("question", "bus"), [(TARGETS, "default"), (ON_A_BUS, "own-bus")])
def test_a_rule_names_its_targets(ask: Ask, question: Any, bus: str) -> None:
    (target,) = ask(*question)
    assert (target["Id"], target["Arn"], target["DeadLetterConfig"]) == (bus, FUNCTION, {"Arn": QUEUE})


def test_a_schedule_names_its_target(ask: Ask) -> None:
    assert ask(*SCHEDULE)["DeadLetterConfig"] == {"Arn": QUEUE}


@pytest.mark.parametrize("question", [CONFIG, TARGETS, ON_A_BUS, SCHEDULE])
def test_whoever_may_not_ask_is_told_which_action_is_missing(ask: Ask, question: Any) -> None:
    (action,) = [one for one in ALLOWED if one.startswith(f"{question[0]}:")]
    assert f"is not authorized to perform: {action}" in ask(*question, name="may-not-ask")


def test_a_right_to_ask_about_some_rules_is_none_for_others(ask: Ask) -> None:
    answer = ask("events", "list_targets_by_rule", {"Rule": "other-rule"}, "Targets")
    assert "is not authorized to perform: events:ListTargetsByRule" in answer
