"""Every function is described, bounded, logged, and has a role of its own with named rights."""

from __future__ import annotations

import copy
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from local.testing.state_machine_reader import placeholders, states
from local.testing.template_reader import Expanded, Statement, references, text

# Services and actions that may be given on every resource, because there is none to name.
SERVICES_WITHOUT_A_RESOURCE = ("logs:", "xray:")
ACTIONS_WITHOUT_A_RESOURCE = {"lambda:ListEventSourceMappings", "sqs:ListQueues"}

# What SAM adds to the roles of functions: logs, traces, and reading the queue or stream of an event source.
MANAGED_POLICIES = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
    "arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole",
    "arn:aws:iam::aws:policy/service-role/AWSLambdaDynamoDBExecutionRole",
}


# A handler is a function of that name.
_HANDLER = re.compile(r"^def lambda_handler\(", re.MULTILINE)


def written_functions(template: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        name: resource["Properties"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def too_much(expanded: Expanded) -> Iterator[str]:
    """Every right of a role that is wider than it has to be."""
    for role in expanded.of_type("AWS::IAM::Role"):
        for one in _allowances(role, expanded):
            for action in one.actions:
                if action == "*" or action.endswith(":*"):
                    yield f"{role} may do {action}"
                if "*" in one.resources and not _names_no_resource(action):
                    yield f"{role} may do {action} on everything"
        for policy in expanded.properties(role).get("ManagedPolicyArns", []):
            if text(policy) not in MANAGED_POLICIES:
                yield f"{role} has the managed policy {text(policy)}"


def _allowances(role: str, expanded: Expanded) -> list[Statement]:
    return [one for one in expanded.granted(role) if one.effect == "Allow"]


def _names_no_resource(action: str) -> bool:
    return action.startswith(SERVICES_WITHOUT_A_RESOURCE) or action in ACTIONS_WITHOUT_A_RESOURCE


def test_every_function_is_described(template: dict[str, Any]) -> None:
    assert [name for name, one in written_functions(template).items() if not one.get("Description")] == []


def test_every_handler_is_a_callable_of_a_module_below_functions(
    template: dict[str, Any], root: Path
) -> None:
    for name, one in written_functions(template).items():
        module_name, _, attribute = one["Handler"].rpartition(".")
        module = importlib.import_module(module_name)
        handler = getattr(module, attribute)
        assert Path(str(module.__file__)).is_relative_to(root / "functions"), name
        assert len(inspect.signature(handler).parameters) == 2, name


def test_no_two_functions_have_the_same_handler_but_those_of_item_types(template: dict[str, Any]) -> None:
    handlers = Counter(one["Handler"] for one in written_functions(template).values())
    shared = {handler for handler, number in handlers.items() if number > 1}
    assert shared <= {"fhir_writer.queue_fhir_writes.lambda_handler"}


def test_every_module_with_a_handler_is_deployed(template: dict[str, Any], root: Path) -> None:
    deployed = {one["Handler"].rpartition(".")[0] for one in written_functions(template).values()}
    functions = root / "functions"
    with_handler = {
        ".".join(path.relative_to(functions).with_suffix("").parts)
        for path in functions.rglob("*.py")
        if _HANDLER.search(path.read_text(encoding="utf-8"))
    }
    assert with_handler == deployed


def test_every_function_is_bounded(expanded: Expanded) -> None:
    for name, one in expanded.of_type("AWS::Lambda::Function").items():
        assert 1 <= one["Timeout"] <= 900, name
        assert one["MemorySize"] <= 10_240, name


def test_every_function_writes_to_a_log_group_of_its_own(expanded: Expanded) -> None:
    groups = [
        text(one.get("LoggingConfig", {}).get("LogGroup", "none"))
        for one in expanded.of_type("AWS::Lambda::Function").values()
    ]
    known = {f"${{{name}}}" for name in expanded.of_type("AWS::Logs::LogGroup")}
    assert set(groups) <= known
    assert len(set(groups)) == len(groups)


def test_every_log_group_has_a_retention_and_the_key(expanded: Expanded) -> None:
    for name, group in expanded.of_type("AWS::Logs::LogGroup").items():
        assert text(group.get("RetentionInDays")) == "${LogRetentionDays}", name
        assert text(group.get("KmsKeyId")) == "${HubKey.Arn}", name


def test_every_log_group_is_written_to(expanded: Expanded) -> None:
    writers = [*expanded.of_type("AWS::Lambda::Function").values()]
    writers += [*expanded.of_type("AWS::StepFunctions::StateMachine").values()]
    writers += [*expanded.of_type("AWS::KinesisFirehose::DeliveryStream").values()]
    writers += [*expanded.of_type("AWS::EC2::LaunchTemplate").values()]
    used = {name for one in writers for field in one for name in references(one[field])}
    assert set(expanded.of_type("AWS::Logs::LogGroup")) <= used


def test_no_role_is_shared(expanded: Expanded) -> None:
    users = [
        *(one["Role"] for one in expanded.of_type("AWS::Lambda::Function").values()),
        *(one["RoleArn"] for one in expanded.of_type("AWS::StepFunctions::StateMachine").values()),
        *(one["Target"]["RoleArn"] for one in expanded.of_type("AWS::Scheduler::Schedule").values()),
    ]
    roles = [text(one) for one in users]
    assert len(set(roles)) == len(roles)


def test_no_role_may_do_more_than_is_named(expanded: Expanded) -> None:
    assert list(too_much(expanded)) == []


def test_a_role_is_only_passed_to_healthlake(expanded: Expanded) -> None:
    for role in expanded.of_type("AWS::IAM::Role"):
        for one in expanded.granted(role):
            if one.allows("iam:PassRole"):
                assert one.resources == ("${HealthLakeDataAccessRole.Arn}",), role
                passed_to = one.conditions["StringEquals"]["iam:PassedToService"]
                assert passed_to == "healthlake.amazonaws.com", role


def test_roles_are_assumed_by_services_only(expanded: Expanded) -> None:
    """But for the one that is there for people and programs outside, whose trust is looked at in
    test_uploads.py."""
    for role, properties in expanded.of_type("AWS::IAM::Role").items():
        if role == "UploaderRole":
            continue
        for one in properties["AssumeRolePolicyDocument"]["Statement"]:
            assert set(one["Principal"]) == {"Service"}, role


def test_a_start_that_expired_has_no_living_holder(template: dict[str, Any], expanded: Expanded) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert int(variables["START_EXPIRY_SECONDS"]) > expanded.properties("StartExportFunction")["Timeout"]


def test_the_state_that_calls_a_function_waits_longer_than_it_may_run(
    machine: Any, expanded: Expanded
) -> None:
    """Else a state's own timeout comes first, which its Retry does not name as it names the function's."""
    for placed in states(machine.definition):
        if str(placed.definition.get("Resource")).endswith(":lambda:invoke"):
            (name,) = placeholders(placed.definition["Parameters"]["FunctionName"])
            (function,) = references(machine.substitutions[name])
            limit = expanded.properties(function)["Timeout"]
            assert placed.definition["TimeoutSeconds"] > limit, placed.name


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ({"Effect": "Allow", "Action": "*", "Resource": {"Ref": "HubTable"}}, "may do *"),
        ({"Effect": "Allow", "Action": ["s3:*"], "Resource": {"Ref": "HubBucket"}}, "may do s3:*"),
        ({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}, "may do s3:GetObject on everything"),
        (
            {"Effect": "Allow", "Action": "sqs:ListQueueTags", "Resource": "*"},
            "may do sqs:ListQueueTags on everything",
        ),
    ],
)
def test_a_right_that_is_too_wide_is_found(
    template: dict[str, Any],
    expanded_from: Callable[[Mapping[str, Any]], Expanded],
    statement: dict[str, Any],
    finding: str,
) -> None:
    broken = copy.deepcopy(template)
    policies = broken["Resources"]["PlanRangesFunction"]["Properties"]["Policies"]
    policies[-1]["Statement"].append(statement)
    assert f"PlanRangesFunctionRole {finding}" in list(too_much(expanded_from(broken)))


def test_an_administrator_policy_is_found(
    template: dict[str, Any], expanded_from: Callable[[Mapping[str, Any]], Expanded]
) -> None:
    broken = copy.deepcopy(template)
    administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
    broken["Resources"]["PlanRangesFunction"]["Properties"]["Policies"].append(administrator)
    assert f"PlanRangesFunctionRole has the managed policy {administrator}" in list(
        too_much(expanded_from(broken))
    )
