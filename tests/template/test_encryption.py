"""Everything that can hold resource content is encrypted with the hub's key, and whoever must use it may.

A grant that is missing drops events on AWS and goes unnoticed in a local account, so the pairs of sender and
encrypted target are derived from the template here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.testing.template_reader import Expanded, Statement, references, statements, text

KEY = "${HubKey.Arn}"

# Where each type of resource says which key it is encrypted with.
KEYED: dict[str, tuple[str | int, ...]] = {
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::Events::EventBus": ("KmsKeyIdentifier",),
    "AWS::HealthLake::FHIRDatastore": ("SseConfiguration", "KmsEncryptionConfig", "KmsKeyId"),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::S3::Bucket": (
        "BucketEncryption",
        "ServerSideEncryptionConfiguration",
        0,
        "ServerSideEncryptionByDefault",
        "KMSMasterKeyID",
    ),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
}

# Types that keep no resource content, and why.
WITHOUT_CONTENT = {
    "AWS::Events::Rule": "patterns",
    "AWS::IAM::Role": "policies",
    "AWS::KMS::Key": "the key itself",
    "AWS::Lambda::EventInvokeConfig": "settings",
    "AWS::Lambda::EventSourceMapping": "settings",
    "AWS::Lambda::Function": "code and settings, no secrets",
    "AWS::Lambda::LayerVersion": "code",
    "AWS::Lambda::Permission": "a policy",
    "AWS::S3::BucketPolicy": "a policy",
    "AWS::SQS::QueuePolicy": "a policy",
    "AWS::Scheduler::Schedule": "an empty input",
    "AWS::StepFunctions::StateMachine": "ids and counts only; SAM has no property for a key",
}

# Services that a statement of a role may use with encrypted data, and so need the key.
USES_DATA = ("dynamodb:", "s3:", "sqs:", "events:")


def findings(expanded: Expanded) -> list[str]:
    """What is not encrypted with the key, or could not use it, one line each."""
    rules = (_unencrypted, _service_faults, _role_faults)
    return sorted({fault for rule in rules for fault in rule(expanded)})


def _unencrypted(expanded: Expanded) -> Iterator[str]:
    for name, resource in expanded.resources.items():
        kind = resource["Type"]
        if kind in KEYED:
            value: Any = resource["Properties"]
            for step in KEYED[kind]:
                value = value[step] if isinstance(step, int) else value.get(step, {})
            if text(value) != KEY:
                yield f"{name} is not encrypted with the key"
        elif kind not in WITHOUT_CONTENT:
            yield f"{name} is of a type whose encryption nobody thought about: {kind}"


def _service_faults(expanded: Expanded) -> Iterator[str]:
    """Services that use the key in their own name need a statement in its policy."""
    allowed = statements(expanded.properties("HubKey")["KeyPolicy"])
    for service, target in _service_pairs(expanded):
        if not any(_lets_use_the_key(one, service) for one in allowed):
            yield f"{service} may not use the key for {target}"


def _service_pairs(expanded: Expanded) -> Iterator[tuple[str, str]]:
    queues = expanded.of_type("AWS::SQS::Queue").keys()
    for rule in expanded.of_type("AWS::Events::Rule").values():
        for target in rule["Targets"]:
            receivers = references(target["Arn"]) | references(target.get("DeadLetterConfig", {}))
            yield from (("events.amazonaws.com", name) for name in receivers & queues)
    for name in expanded.of_type("AWS::Events::EventBus"):
        yield "events.amazonaws.com", name
    for name in expanded.of_type("AWS::Logs::LogGroup"):
        yield "logs.${AWS::Region}.amazonaws.com", name


def _lets_use_the_key(one: Statement, service: str) -> bool:
    conditions = {key: value for keys in one.conditions.values() for key, value in keys.items()}
    own_account = conditions.get("aws:SourceAccount") == "${AWS::AccountId}"
    own_logs = ":${AWS::AccountId}:" in conditions.get("kms:EncryptionContext:aws:logs:arn", "")
    usable = one.allows("kms:Decrypt") and one.allows("kms:GenerateDataKey") and one.allows("kms:DescribeKey")
    return one.services == (service,) and usable and (own_account or own_logs)


def _role_faults(expanded: Expanded) -> Iterator[str]:
    """Roles that send to, read or write something encrypted need the key themselves."""
    polled_by = {
        role
        for mapping in expanded.of_type("AWS::Lambda::EventSourceMapping").values()
        for function in references(mapping["FunctionName"])
        for role in references(expanded.properties(function)["Role"])
    }
    for role in expanded.of_type("AWS::IAM::Role"):
        granted = expanded.granted(role)
        uses_data = any(action.startswith(USES_DATA) for one in granted for action in one.actions)
        if uses_data or role in polled_by:
            for action in ("kms:Decrypt", "kms:GenerateDataKey"):
                if KEY not in expanded.resources_for(role, action):
                    yield f"{role} lacks {action}"


def test_everything_is_encrypted_and_whoever_needs_the_key_may_use_it(expanded: Expanded) -> None:
    assert findings(expanded) == []


def test_every_pair_of_sender_and_encrypted_target_is_derived(expanded: Expanded) -> None:
    pairs = set(_service_pairs(expanded))
    assert {
        ("events.amazonaws.com", "CheckExportQueue"),
        ("events.amazonaws.com", "ExportJobEventsDeadLetterQueue"),
        ("events.amazonaws.com", "ExecutionEndedDeadLetterQueue"),
        ("events.amazonaws.com", "HubEventBus"),
        ("logs.${AWS::Region}.amazonaws.com", "ExportStateMachineLogs"),
    } <= pairs


def test_the_key_rotates_and_only_the_account_administers_it(expanded: Expanded) -> None:
    key = expanded.properties("HubKey")
    assert key["EnableKeyRotation"] is True
    whole = [one for one in key["KeyPolicy"]["Statement"] if one["Action"] == "kms:*"]
    (principal,) = [text(one["Principal"]["AWS"]) for one in whole]
    assert principal == "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"


def test_every_bucket_blocks_public_access(expanded: Expanded) -> None:
    for name, bucket in expanded.of_type("AWS::S3::Bucket").items():
        assert bucket["PublicAccessBlockConfiguration"] == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }, name
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}], name


def test_every_bucket_refuses_plain_http(expanded: Expanded) -> None:
    refusing = {
        text(policy["Bucket"])
        for policy in expanded.of_type("AWS::S3::BucketPolicy").values()
        for one, written in zip(
            statements(policy["PolicyDocument"]), policy["PolicyDocument"]["Statement"], strict=True
        )
        if one.effect == "Deny"
        and written["Principal"] == "*"
        and one.actions == ("s3:*",)
        and one.conditions == {"Bool": {"aws:SecureTransport": "false"}}
        and len(one.resources) == 2
    }
    assert refusing == {f"${{{name}}}" for name in expanded.of_type("AWS::S3::Bucket")}


def test_the_table_can_be_restored_to_any_moment(expanded: Expanded) -> None:
    for name, table in expanded.of_type("AWS::DynamoDB::Table").items():
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, name


def test_quarantine_is_never_expired(expanded: Expanded) -> None:
    rules = expanded.properties("HubBucket")["LifecycleConfiguration"]["Rules"]
    assert {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule} == {"exports/", "runs/"}


def _without_key_statement(sid: str) -> Callable[[dict[str, Any]], None]:
    def apply(resources: dict[str, Any]) -> None:
        policy = resources["HubKey"]["Properties"]["KeyPolicy"]
        policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] != sid]

    return apply


def _without_key_rights(role: str) -> Callable[[dict[str, Any]], None]:
    def apply(resources: dict[str, Any]) -> None:
        for policy in resources[role]["Properties"]["Policies"]:
            document = policy["PolicyDocument"]
            document["Statement"] = [
                one for one in document["Statement"] if not any("kms:" in action for action in one["Action"])
            ]

    return apply


def _without(resource: str, field: str) -> Callable[[dict[str, Any]], None]:
    return lambda resources: resources[resource]["Properties"].pop(field) and None


def _with_topic(resources: dict[str, Any]) -> None:
    resources["Topic"] = {"Type": "AWS::SNS::Topic", "Properties": {}}


@pytest.mark.parametrize(
    ("breaking", "finding"),
    [
        (_without("HubTable", "SSESpecification"), "HubTable is not encrypted with the key"),
        (_without("StartExportQueue", "KmsMasterKeyId"), "StartExportQueue is not encrypted with the key"),
        (_with_topic, "Topic is of a type whose encryption nobody thought about: AWS::SNS::Topic"),
        (
            _without_key_statement("EventBridgeSendsToEncryptedQueuesAndBus"),
            "events.amazonaws.com may not use the key for CheckExportQueue",
        ),
        (
            _without_key_statement("CloudWatchLogsEncrypts"),
            "logs.${AWS::Region}.amazonaws.com may not use the key for PlanRangesLogs",
        ),
        (_without_key_rights("ExportScheduleRole"), "ExportScheduleRole lacks kms:GenerateDataKey"),
        (_without_key_rights("HealthLakeDataAccessRole"), "HealthLakeDataAccessRole lacks kms:Decrypt"),
        (_without_key_rights("CheckExportFunctionRole"), "CheckExportFunctionRole lacks kms:Decrypt"),
    ],
)
def test_a_missing_key_or_grant_is_found(
    expanded: Expanded, breaking: Callable[[dict[str, Any]], None], finding: str
) -> None:
    resources = copy.deepcopy(dict(expanded.resources))
    breaking(resources)
    assert finding in findings(Expanded(resources))
