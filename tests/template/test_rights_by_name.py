"""Rights that are given for names, not for resources, end where another stack begins.

CloudFormation names a queue or a function by stack, resource and a suffix of letters and digits, with a dash
between them («Resource custom naming», AWS CloudFormation Template Reference). `hub-*` therefore also matches
what a stack `hub-prod` of the same account has.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from dlq_redrive.table_keys import count_key, lock_key
from local.testing.template_reader import Expanded, references, text

BY_NAME = "${AWS::StackName}-*"

# What follows the name of the stack, for each service that rights are given by name for.
OWN = {
    "sqs": "Dead-1A2b3C",
    "lambda": "Function-1A2b3C",
    "states": "export",
    "events": "Rule-1A2b3C",
    "scheduler": "export",
    "pipes": "Pipe-1A2b3C",
    "dynamodb": "Table-1A2b3C",
}
FIFO = "Dead-1A2b3C.fifo"

# Queues are listed by the beginning of their names; their tags say which of them are the stack's.
TAGS = "sqs:ListQueueTags"
# The ARN of a rule on a bus names the bus before it, whose dashes no pattern tells from those of a stack. The
# targets of a rule are believed only if what fails there goes to a queue of this stack.
TELLS_STACKS_APART = (TAGS, "events:ListTargetsByRule")


# Lengths of names: «CreateQueue» (Amazon SQS API Reference), «CreateFunction» (AWS Lambda API Reference),
# «PutRule» (Amazon EventBridge API Reference).
GENERATED = {"AWS::SQS::Queue": 80, "AWS::Lambda::Function": 64, "AWS::Events::Rule": 64}
# The longest suffix of a generated name, and the dashes around the resource's logical id.
ADDED = 13 + 2
# «CreateSchedule» (EventBridge Scheduler API Reference), «CreateStateMachine» (AWS Step Functions).
GIVEN = {
    "AWS::Scheduler::Schedule": ("Name", 64),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", 80),
}
SAID = re.compile(r"A stack's name has at most (\d+) characters")


def longest_stack_name(expanded: Expanded) -> int:
    """Characters that a stack's name may have, so that every name still begins with it.

    CloudFormation cuts a name that it generates and that would be too long. It keeps half of the room for the
    stack's name: of the stack `mylongerapp-playground-new` it made the function
    `mylongerapp-playground-ne-InstancesLifecycleHandle-1GRP3N0TVA1LD`, which no right for
    `mylongerapp-playground-new-*` covers (convox/rack, «lambda function name truncation with long rack
    names»).
    """
    generated = [
        max(most - ADDED - len(name), (most - ADDED + 1) // 2)
        for kind, most in GENERATED.items()
        for name in expanded.of_type(kind)
    ]
    given = [
        most - len(text(one[field]).removeprefix("${AWS::StackName}"))
        for kind, (field, most) in GIVEN.items()
        for one in expanded.of_type(kind).values()
    ]
    return min(generated + given)


def rights_by_name(expanded: Expanded) -> Iterator[tuple[str, str, str]]:
    """Role, action and resource of every right that is given for whatever has a name of the stack."""
    for role in expanded.of_type("AWS::IAM::Role"):
        for one in expanded.granted(role):
            if one.effect == "Allow":
                yield from (
                    (role, action, resource)
                    for action in one.actions
                    for resource in one.resources
                    if BY_NAME in resource
                )


def may(expanded: Expanded, role: str, action: str, resource: str) -> bool:
    """Whether a role may do something: it is allowed, and nothing refuses it."""
    effects = {
        one.effect
        for one in expanded.granted(role)
        if any(fnmatchcase(action, named) for named in one.actions)
        and any(fnmatchcase(resource, named) for named in one.resources)
    }
    return effects == {"Allow"}


def reaching_too_far(expanded: Expanded) -> list[str]:
    """Rights that cover something of a stack whose name begins as this one's."""
    return [
        f"{role} may do {action} in another stack"
        for role, action, resource in rights_by_name(expanded)
        for other in ("prod", "prod-eu")
        if action not in TELLS_STACKS_APART
        and may(expanded, role, action, _named(resource, f"{other}-{OWN[action.partition(':')[0]]}"))
    ]


def _named(resource: str, name: str) -> str:
    return resource.replace(BY_NAME, BY_NAME.removesuffix("*") + name)


def test_no_right_covers_what_another_stack_has(expanded: Expanded) -> None:
    assert reaching_too_far(expanded) == []


def test_the_tags_of_every_queue_that_is_listed_can_be_read(expanded: Expanded) -> None:
    (granted,) = [one for one in rights_by_name(expanded) if one[1] == TAGS]
    role, action, resource = granted
    assert may(expanded, role, action, _named(resource, f"prod-{OWN['sqs']}"))
    assert "sqs:ListQueues" in {name for one in expanded.granted(role) for name in one.actions}


def test_every_right_by_name_covers_what_the_stack_has(expanded: Expanded) -> None:
    rights = list(rights_by_name(expanded))
    assert {action.partition(":")[0] for _, action, _ in rights} == set(OWN)
    for role, action, resource in rights:
        service = action.partition(":")[0]
        for own in (OWN[service], FIFO if service == "sqs" else OWN[service]):
            assert may(expanded, role, action, _named(resource, own)), (role, action)


def test_what_rights_are_given_by_name_for_is_named_so(expanded: Expanded) -> None:
    """Another name of its own, with a dash or without the stack's, would be refused or not covered."""
    generated = {"AWS::SQS::Queue": "QueueName", "AWS::Lambda::Function": "FunctionName"}
    for kind, field in generated.items():
        assert [name for name, one in expanded.of_type(kind).items() if field in one] == []
    for name, schedule in expanded.of_type("AWS::Scheduler::Schedule").items():
        assert re.fullmatch(r"\$\{AWS::StackName\}-[a-z]+", text(schedule["Name"])), name
    for name, machine in expanded.of_type("AWS::StepFunctions::StateMachine").items():
        assert re.fullmatch(r"\$\{AWS::StackName\}-[a-z]+", text(machine["StateMachineName"])), name


def test_the_readme_says_how_long_a_stacks_name_may_be(root: Path, expanded: Expanded) -> None:
    (said,) = SAID.findall((root / "README.md").read_text())
    assert int(said) == longest_stack_name(expanded)


def test_every_stack_of_the_configuration_has_a_name_that_is_short_enough(
    root: Path, expanded: Expanded
) -> None:
    names = re.findall(r'^stack_name = "([^"]+)"', (root / "samconfig.toml").read_text(), re.MULTILINE)
    assert names
    assert max(map(len, names)) <= longest_stack_name(expanded)


def _with(expanded: Expanded, name: str, kind: str, **properties: Any) -> Expanded:
    return Expanded({**expanded.resources, name: {"Type": kind, "Properties": properties}})


def test_a_resource_with_a_longer_name_leaves_less_for_the_stacks(expanded: Expanded) -> None:
    longer = _with(expanded, "Other", "AWS::Scheduler::Schedule", Name="${AWS::StackName}-" + "x" * 50)
    assert longest_stack_name(longer) == 64 - len("-" + "x" * 50)


def test_half_of_a_generated_name_is_left_for_the_stacks(expanded: Expanded) -> None:
    assert longest_stack_name(_with(expanded, "F" * 60, "AWS::Lambda::Function")) == len(
        "mylongerapp-playground-ne"
    )


REDRIVE_ROLES = ("PlanRedriveFunctionRole", "RedriveMessagesFunctionRole", "RedriveStateMachineRole")


@pytest.mark.parametrize("role", REDRIVE_ROLES)
def test_of_the_table_a_redrive_has_its_own_items_alone(expanded: Expanded, role: str) -> None:
    """«Using IAM policy conditions for fine-grained access control» (Amazon DynamoDB Developer Guide)."""
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "REDRIVE#*"}}
    on_the_table = [one for one in expanded.granted(role) if "${HubTable.Arn}" in one.resources]
    assert [one.conditions for one in on_the_table] == [own]
    assert {action for one in on_the_table for action in one.actions} <= {
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
    }
    assert lock_key("q")["pk"]["S"].startswith("REDRIVE#")
    assert count_key("q", "i")["pk"]["S"].startswith("REDRIVE#")


TAKES_MESSAGES = ("sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage")
OF_DEAD_LETTERS = {
    "StringEquals": {"aws:ResourceTag/redrive-stack": "${AWS::StackName}"},
    "Null": {"aws:ResourceTag/redrive-kind": "false"},
}


def taking_work(expanded: Expanded) -> list[str]:
    """Functions that may take messages of queues whose work is others', by a right for the stack's names.

    The state machine is not one of them: SQS moves messages in its name, and AWS does not say whether it
    then knows a queue's tags."""
    return [
        f"{role} may do {action} on queues that are not for dead letters"
        for role in (references(one["Role"]).pop() for one in _functions(expanded))
        for one in expanded.granted(role)
        for action in TAKES_MESSAGES
        if one.allows(action) and any(BY_NAME in resource for resource in one.resources)
        if one.conditions != OF_DEAD_LETTERS
    ]


def _functions(expanded: Expanded) -> Iterable[Mapping[str, Any]]:
    return expanded.of_type("AWS::Lambda::Function").values()


def test_a_redrive_takes_messages_of_dead_letter_queues_alone(expanded: Expanded) -> None:
    """«ABAC condition keys for Amazon SQS» (Amazon SQS Developer Guide)."""
    assert taking_work(expanded) == []


def test_a_redrive_sends_to_queues_without_such_tags(expanded: Expanded) -> None:
    sends = [one for one in expanded.granted("RedriveMessagesFunctionRole") if one.allows("sqs:SendMessage")]
    assert [(one.actions, one.conditions) for one in sends] == [(("sqs:SendMessage",), {})]


@pytest.mark.parametrize("condition", ["StringEquals", "Null"])
@pytest.mark.parametrize("role", REDRIVE_ROLES[:2])
def test_a_right_to_take_messages_of_every_queue_is_found(
    expanded: Expanded, role: str, condition: str
) -> None:
    resources = copy.deepcopy(dict(expanded.resources))
    policies: list[Any] = resources[role]["Properties"]["Policies"]
    for one in (one for policy in policies for one in policy["PolicyDocument"]["Statement"]):
        one.get("Condition", {}).pop(condition, None)
    assert f"{role} may do sqs:ReceiveMessage on queues that are not for dead letters" in taking_work(
        Expanded(resources)
    )


@pytest.mark.parametrize("role", REDRIVE_ROLES)
def test_a_right_that_reaches_too_far_is_found(expanded: Expanded, role: str) -> None:
    resources = copy.deepcopy(dict(expanded.resources))
    policies: list[Any] = resources[role]["Properties"]["Policies"]
    for policy in policies:
        document = policy["PolicyDocument"]
        document["Statement"] = [one for one in document["Statement"] if one["Effect"] != "Deny"]
    assert f"{role} may do sqs:ReceiveMessage in another stack" in reaching_too_far(Expanded(resources))
