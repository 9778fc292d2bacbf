"""The template can be read: a fixed order, everything described, every right with its reason beside it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from local.testing.template_reader import Expanded, references, text, written_statements

SECTIONS = [
    "AWSTemplateFormatVersion",
    "Transform",
    "Description",
    "Metadata",
    "Parameters",
    "Conditions",
    "Globals",
    "Resources",
    "Outputs",
]

# The field that names a resource within its account and region, by type.
NAMES = {
    "AWS::Athena::WorkGroup": "Name",
    "AWS::AutoScaling::AutoScalingGroup": "AutoScalingGroupName",
    "AWS::CloudTrail::Trail": "TrailName",
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::EC2::LaunchTemplate": "LaunchTemplateName",
    "AWS::EC2::SecurityGroup": "GroupName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}


def undescribed(template: Mapping[str, Any]) -> list[str]:
    """Parameters, functions and outputs without a Description."""
    functions = {
        name: one["Properties"]
        for name, one in template["Resources"].items()
        if one["Type"] == "AWS::Serverless::Function"
    }
    described = {**template["Parameters"], **template["Outputs"], **functions}
    return sorted(name for name, one in described.items() if not one.get("Description", "").strip())


def fixed_names(expanded: Expanded) -> list[str]:
    """Resources whose name a second copy of the stack would have too."""
    return sorted(
        f"{name} is named {text(one[NAMES[kind]])}"
        for kind in NAMES
        for name, one in expanded.of_type(kind).items()
        if NAMES[kind] in one and "${AWS::StackName}" not in text(one[NAMES[kind]])
    )


def unexplained(template_file: Path) -> Iterator[str]:
    """Statements without their reason: a comment directly above, or the Sid of a resource policy."""
    lines = template_file.read_text(encoding="utf-8").splitlines()
    for place, line, has_sid in written_statements(template_file):
        above = lines[line - 2].strip()
        belongs_to_role = "/Policies/" in place
        if place.endswith("AssumeRolePolicyDocument/Statement"):
            continue
        if not above.startswith("#") and (belongs_to_role or not has_sid):
            yield f"line {line}: {place}"


def test_the_sections_stand_in_their_order(template: dict[str, Any]) -> None:
    assert list(template) == SECTIONS


def test_every_parameter_function_and_output_is_described(template: dict[str, Any]) -> None:
    assert undescribed(template) == []


def test_every_parameter_is_in_exactly_one_group(template: dict[str, Any]) -> None:
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(template["Parameters"])


def test_every_parameter_is_used(template: dict[str, Any]) -> None:
    used = references([template[section] for section in ("Conditions", "Globals", "Resources", "Outputs")])
    assert set(template["Parameters"]) <= used


def test_every_parameter_refuses_nonsense(template: dict[str, Any]) -> None:
    """A schedule expression is checked by Scheduler itself."""
    bounds = {"AllowedValues", "AllowedPattern", "MinValue"}
    unbounded = [name for name, one in template["Parameters"].items() if not bounds & one.keys()]
    assert unbounded == ["ExportSchedule", "RedriveScheduleExpression"]


def test_every_default_is_allowed(template: dict[str, Any]) -> None:
    for name, one in template["Parameters"].items():
        assert one["Default"] in one.get("AllowedValues", [one["Default"]]), name
        assert one.get("MinValue", 0) <= one.get("MaxValue", 0) or "MaxValue" not in one, name
        if "MinValue" in one:
            assert one["MinValue"] <= one["Default"] <= one["MaxValue"], name
        if "AllowedPattern" in one:
            assert re.fullmatch(one["AllowedPattern"], one["Default"]), name


def test_every_domain_has_a_banner(template_file: Path) -> None:
    lines = template_file.read_text(encoding="utf-8").splitlines()
    rulers = [index for index, line in enumerate(lines) if re.fullmatch(r"  # =+", line)]
    titles = [lines[first + 1].strip("# ") for first in rulers[::2]]
    assert all(second - first == 2 for first, second in zip(rulers[::2], rulers[1::2], strict=True))
    assert [title.partition(":")[0] for title in titles] == [
        "Encryption",
        "Storage",
        "Lake",
        "Event bus",
        "Datastore",
        "Audit trail",
        "Export workflow",
        "Export workflow",
        "Export workflow",
        "Redrive workflow",
        "Redrive workflow",
        "Redrive workflow",
        "Records",
        "Records lake",
        "Record consumers",
        "FHIR writer",
        "Uploads and jobs",
        "Workers",
        "Operations",
    ]


def test_every_statement_has_its_reason_beside_it(template_file: Path) -> None:
    assert list(unexplained(template_file)) == []


def test_no_name_is_the_same_in_two_copies_of_the_stack(expanded: Expanded) -> None:
    assert fixed_names(expanded) == []


def test_nothing_names_an_account_a_region_or_a_partition(template_file: Path) -> None:
    written = template_file.read_text(encoding="utf-8")
    assert re.findall(r"arn:aws[\w-]*:|\b\d{12}\b|\b(?:us|eu|ap|ca|sa)-[a-z]+-\d\b", written) == []


def test_what_holds_data_survives_the_stack(template: dict[str, Any]) -> None:
    """Losing a stack must not lose what it stored, nor the key that reads it."""
    keeping = {
        name
        for name, one in template["Resources"].items()
        # nothing was stored where creation failed, and a datastore left behind would cost by the hour
        if one.get("DeletionPolicy") == "RetainExceptOnCreate" and one.get("UpdateReplacePolicy") == "Retain"
    }
    assert keeping == {
        "HubKey",
        "HubBucket",
        "HubTable",
        "RecordsTable",
        "JobsTable",
        "UploadsBucket",
        "LakeBucket",
        "QueryResultsBucket",
        "EventBusDeadLetterKey",
        "Datastore",
        "AuditTrailBucket",
    }


def test_the_outputs_are_those_that_others_rely_on(template: dict[str, Any]) -> None:
    assert set(template["Outputs"]) == {
        "ExportStateMachineArn",
        "RedriveStateMachineArn",
        "RecordsTableName",
        "UploadsBucketName",
        "UploaderRoleArn",
        "UploadsTopicArn",
        "JobsTableName",
        "JobsQueueUrl",
        "HubBucketName",
        "LakeBucketName",
        "LakeDatabaseName",
        "LakeCompactorPolicyArn",
        "LakeReaderPolicyArn",
        "LakeWorkGroupName",
        "QueryResultsBucketName",
        "HubTableName",
        "EventBusName",
        "DatastoreId",
        "DatastoreEndpoint",
        "AlarmTopicArn",
        "DashboardName",
    }


@pytest.mark.parametrize(
    ("section", "name"),
    [("Parameters", "Tracing"), ("Outputs", "DatastoreId"), ("Resources", "PlanRangesFunction")],
)
def test_a_missing_description_is_found(template: dict[str, Any], section: str, name: str) -> None:
    one = template[section][name]
    one.get("Properties", one).pop("Description")
    assert undescribed(template) == [name]


def test_a_statement_without_a_reason_is_found(template_file: Path, tmp_path: Path) -> None:
    reason = "            # The finished job's manifest.\n"
    written = template_file.read_text(encoding="utf-8")
    assert written.count(reason) == 1
    broken = tmp_path / "template.yaml"
    broken.write_text(written.replace(reason, ""), encoding="utf-8")
    (found,) = unexplained(broken)
    assert "PlanRangesFunction/Properties/Policies/Statement" in found


def test_a_name_that_two_stacks_would_share_is_found(
    template: dict[str, Any], expanded_from: Callable[[Mapping[str, Any]], Expanded]
) -> None:
    broken = copy.deepcopy(template)
    broken["Resources"]["HubTable"]["Properties"]["TableName"] = "hub"
    assert fixed_names(expanded_from(broken)) == ["HubTable is named hub"]
