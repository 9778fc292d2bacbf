"""Every permission of the template is missed by name when it is taken away: by a run or by what is on its
way, as `make soak` shows, or by a template test, as is shown here."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from local.soak.permissions.catalogue import (
    ENDS_OTHERWISE,
    SHOWN,
    required_by,
    scenario_of,
)
from local.soak.permissions.grants import Grant, attached, granted, without, without_policy
from local.soak.permissions.required import REQUIRED, REQUIRED_POLICIES
from local.soak.permissions.scenarios import SCENARIOS
from local.testing.template_reader import Expanded, references, text

# What a redrive of records needs: «Actions, resources, and condition keys» for AWS Lambda, for Amazon
# EventBridge Pipes and for Amazon DynamoDB (Service Authorization Reference).
_HERE = "${AWS::Region}:${AWS::AccountId}"
_STREAMS = f"arn:${{AWS::Partition}}:dynamodb:{_HERE}:table/${{AWS::StackName}}-*/stream/*"
NEEDED_BY_REDRIVEN_RECORDS = {
    "lambda:ListEventSourceMappings": "*",
    "pipes:DescribePipe": f"arn:${{AWS::Partition}}:pipes:{_HERE}:pipe/${{AWS::StackName}}-*",
    "dynamodb:GetShardIterator": _STREAMS,
    "dynamodb:GetRecords": _STREAMS,
}

# What an export needs: AWS HealthLake Developer Guide, «Setting up permissions for export jobs».
NEEDED_BY_AN_EXPORT = {
    "s3:PutObject": "${HubBucket.Arn}/exports/*",
    "s3:ListBucket": "${HubBucket.Arn}",
    "s3:GetBucketPublicAccessBlock": "${HubBucket.Arn}",
    "s3:GetEncryptionConfiguration": "${HubBucket.Arn}",
    "kms:DescribeKey": "${HubKey.Arn}",
    "kms:GenerateDataKey": "${HubKey.Arn}",
}


def function_roles(expanded: Expanded) -> dict[str, str]:
    """The role of each function."""
    return {
        name: references(function["Role"]).pop()
        for name, function in expanded.of_type("AWS::Lambda::Function").items()
    }


def test_every_permission_is_shown_by_one_scenario_or_required_by_one_test(expanded: Expanded) -> None:
    entries = [one for table in (SHOWN, REQUIRED) for ones in table.values() for one in ones]
    found = [(grant, [one for one in entries if grant.matches(one)]) for grant in granted(expanded)]
    assert [(str(grant), ones) for grant, ones in found if len(ones) != 1] == []
    assert [one for one in entries if not any(grant.matches(one) for grant in granted(expanded))] == []


def test_every_managed_policy_is_required_by_a_test(expanded: Expanded) -> None:
    assert {policy for _, policy in attached(expanded)} == set(REQUIRED_POLICIES)


def test_every_scenario_that_is_named_exists_and_the_other_way_round() -> None:
    assert set(SHOWN) == set(SCENARIOS)


def test_every_other_end_is_that_of_a_shown_permission(expanded: Expanded) -> None:
    shown = [grant for grant in granted(expanded) if scenario_of(grant)]
    assert [one for one in ENDS_OTHERWISE if not any(grant.matches(one) for grant in shown)] == []


def test_without_a_required_permission_the_test_that_is_named_fails(
    root: Path, machine: Any, expanded: Expanded
) -> None:
    passing = [
        f"{grant}: {name}"
        for grant in granted(expanded)
        if (name := required_by(grant))
        and not _is_of_another_machine(grant, machine)
        and _passes(root, name, machine, without(expanded, grant))
    ]
    assert passing == []


def test_without_a_managed_policy_the_test_that_is_named_fails(
    root: Path, machine: Any, expanded: Expanded
) -> None:
    passing = [
        (role, policy)
        for role, policy in attached(expanded)
        if _passes(root, REQUIRED_POLICIES[policy], machine, without_policy(expanded, role, policy))
    ]
    assert passing == []


def test_a_permission_that_is_taken_away_is_gone(expanded: Expanded) -> None:
    for grant in granted(expanded):
        before, after = ([str(one) for one in granted(one)] for one in (expanded, without(expanded, grant)))
        assert (before.count(str(grant)), len(before)) == (1, len(after) + 1)
        assert str(grant) not in after


def test_healthlake_may_do_what_it_documents(expanded: Expanded) -> None:
    for action, resource in NEEDED_BY_AN_EXPORT.items():
        assert resource in expanded.resources_for("HealthLakeDataAccessRole", action), action


def test_whoever_calls_healthlake_may_have_its_key_checked(expanded: Expanded) -> None:
    """Under a customer's key HealthLake asks KMS about it in the caller's name, by DescribeKey for every
    operation (AWS HealthLake Developer Guide, «Encryption at rest»)."""
    callers = {
        role
        for role in function_roles(expanded).values()
        if any(action.startswith("healthlake:") for one in expanded.granted(role) for action in one.actions)
    }
    assert len(callers) == 5
    for role in callers:
        assert "${HubKey.Arn}" in expanded.resources_for(role, "kms:DescribeKey"), role


def test_dead_letters_of_streams_and_pipes_can_be_redriven(expanded: Expanded) -> None:
    """Without another right: those of the stack's pipes, and of streams once a function has a queue for what
    it fails on, with name and tags of the stack."""
    for action, resource in NEEDED_BY_REDRIVEN_RECORDS.items():
        assert resource in expanded.resources_for("RedriveMessagesFunctionRole", action), action


def test_whoever_takes_messages_of_every_queue_may_decrypt_them(expanded: Expanded) -> None:
    keys = {text(queue["KmsMasterKeyId"]) for queue in expanded.of_type("AWS::SQS::Queue").values()}
    assert len(keys) == 2
    takers = [
        role
        for role in function_roles(expanded).values()
        if any(one.endswith("-*") for one in expanded.resources_for(role, "sqs:ReceiveMessage"))
    ]
    assert takers
    for role in takers:
        assert keys <= expanded.resources_for(role, "kms:Decrypt"), role


def test_a_schedule_may_start_its_target_and_keep_what_it_could_not_start(expanded: Expanded) -> None:
    for schedule in expanded.of_type("AWS::Scheduler::Schedule").values():
        (role,) = references(schedule["Target"]["RoleArn"])
        target, kept = text(schedule["Target"]["Arn"]), text(schedule["Target"]["DeadLetterConfig"]["Arn"])
        assert target in expanded.resources_for(role, "states:StartExecution")
        assert kept in expanded.resources_for(role, "sqs:SendMessage")


def test_a_rule_may_start_its_target(expanded: Expanded) -> None:
    targets = [one for rule in expanded.of_type("AWS::Events::Rule").values() for one in rule["Targets"]]
    with_a_role = [one for one in targets if "RoleArn" in one]
    assert with_a_role
    for target in with_a_role:
        (role,) = references(target["RoleArn"])
        assert text(target["Arn"]) in expanded.resources_for(role, "states:StartExecution")


def test_a_function_may_send_to_its_failure_destination(expanded: Expanded) -> None:
    configurations = expanded.of_type("AWS::Lambda::EventInvokeConfig")
    assert configurations
    for configuration in configurations.values():
        (function,) = references(configuration["FunctionName"])
        destination = text(configuration["DestinationConfig"]["OnFailure"]["Destination"])
        role = function_roles(expanded)[function]
        assert destination in expanded.resources_for(role, "sqs:SendMessage")


def test_whoever_uploads_in_parts_may_abort(expanded: Expanded) -> None:
    """Long lines are copied in parts and rows are written so; parts that nobody aborts cost."""
    for role in function_roles(expanded).values():
        written = expanded.resources_for(role, "s3:PutObject")
        in_parts = {one for one in written if one.endswith(("/quarantine/*", "/fhir/*"))}
        assert in_parts == expanded.resources_for(role, "s3:AbortMultipartUpload"), role


def test_whoever_writes_rows_may_remove_what_an_earlier_try_wrote(expanded: Expanded) -> None:
    """Or rows of a patient who was erased between two tries would stay in the lake."""
    written = expanded.resources_for("ProcessRangeFunctionRole", "s3:PutObject")
    rows = {resource for resource in written if "/fhir/" in resource}
    assert rows
    assert rows == expanded.resources_for("ProcessRangeFunctionRole", "s3:DeleteObject")


def test_whoever_reads_what_may_have_expired_may_list(expanded: Expanded) -> None:
    """S3 answers «access denied» for a missing object to whom it does not tell what is there."""
    assert "${HubBucket.Arn}" in expanded.resources_for("ProcessRangeFunctionRole", "s3:ListBucket")


def test_every_function_may_write_its_log(expanded: Expanded) -> None:
    roles = set(function_roles(expanded).values())
    assert {role for role, policy in attached(expanded) if policy == "AWSLambdaBasicExecutionRole"} == roles


def test_every_traced_function_may_send_traces(expanded: Expanded) -> None:
    functions = expanded.of_type("AWS::Lambda::Function")
    traced = {role for name, role in function_roles(expanded).items() if "TracingConfig" in functions[name]}
    assert {role for role, policy in attached(expanded) if policy == "AWSXrayWriteOnlyAccess"} == traced


def test_every_function_may_take_from_its_queues(expanded: Expanded) -> None:
    assert {
        role for role, policy in attached(expanded) if policy == "AWSLambdaSQSQueueExecutionRole"
    } == _readers_of("AWS::SQS::Queue", expanded)


def test_every_function_may_read_its_stream(expanded: Expanded) -> None:
    assert {
        role for role, policy in attached(expanded) if policy == "AWSLambdaDynamoDBExecutionRole"
    } == _readers_of("AWS::DynamoDB::Table", expanded)


def _readers_of(kind: str, expanded: Expanded) -> set[str]:
    """Roles of the functions that Lambda reads resources of a type for."""
    roles = function_roles(expanded)
    return {
        roles[function]
        for mapping in expanded.of_type("AWS::Lambda::EventSourceMapping").values()
        if references(mapping["EventSourceArn"]) & expanded.of_type(kind).keys()
        for function in references(mapping["FunctionName"])
    }


def _is_of_another_machine(grant: Grant, machine: Any) -> bool:
    """Whether the permission is of a state machine that is not the one which the tests are given."""
    return grant.role.endswith("StateMachineRole") and grant.role != f"{machine.resource}Role"


def _passes(root: Path, name: str, machine: Any, expanded: Expanded) -> bool:
    """Whether a test, named by file and function, passes on this template. It takes `expanded`, and perhaps
    `machine`."""
    path, _, function = name.partition("::")
    test: Callable[..., None] = getattr(_module(root / path), function)
    given = {"machine": machine, "expanded": expanded}
    try:
        test(**{parameter: given[parameter] for parameter in inspect.signature(test).parameters})
    except AssertionError:
        return False
    return True


_loaded: dict[Path, ModuleType] = {}


def _module(path: Path) -> ModuleType:
    if path not in _loaded:
        spec = importlib.util.spec_from_file_location(f"named_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        _loaded[path] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(_loaded[path])
    return _loaded[path]
