"""Who may reach what: policies of buckets, queues, topics, keys and buses, trust in roles, and how long
objects stay. Rights of roles are looked at in test_functions.py and test_state_machine_permissions.py."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local.testing.template_reader import Expanded, Statement, references, statements, text

PLAIN_HTTP = {"Bool": {"aws:SecureTransport": "false"}}

# Where policies stand on resources: by type, the field of the document and the field that names the holder.
RESOURCE_POLICIES = {
    "AWS::KMS::Key": "KeyPolicy",
    "AWS::S3::BucketPolicy": "PolicyDocument",
    "AWS::SNS::TopicPolicy": "PolicyDocument",
    "AWS::SQS::QueuePolicy": "PolicyDocument",
    "AWS::Events::EventBusPolicy": "Statement",
}

# Conditions that tie a service to the account that it acts for.
OWN = (
    "aws:SourceAccount",
    "aws:SourceArn",
    "kms:EncryptionContext:aws:logs:arn",
    "kms:EncryptionContext:aws:sqs:arn",
    "kms:EncryptionContext:SourceArn",
)

ROOT = "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"


def findings(expanded: Expanded) -> list[str]:
    """Who could reach more than is meant, one line each."""
    rules = (_plain_http, _policies_that_overwrite, _open_to_others, _trust_faults, _role_users)
    return sorted({fault for rule in rules for fault in rule(expanded)})


def _plain_http(expanded: Expanded) -> Iterator[str]:
    """Everything that has a policy of its own and can be reached over HTTP refuses it."""
    for holder, kind, whole in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "s3:*"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "sqs:*"),
    ):
        for name in expanded.of_type(holder):
            arns = {f"${{{name}.Arn}}"} | ({f"${{{name}.Arn}}/*"} if holder == "AWS::S3::Bucket" else set())
            refused = {
                resource
                for policy in _policies_of(name, kind, expanded)
                for one in _refusals(policy["PolicyDocument"], whole)
                for resource in one.resources
            }
            # «*» in a queue's own policy is that queue; in a bucket's it would not be taken.
            if not arns <= refused and not (holder == "AWS::SQS::Queue" and "*" in refused):
                yield f"{name} can be reached over plain HTTP"


def _policies_of(name: str, kind: str, expanded: Expanded) -> list[Mapping[str, Any]]:
    return [
        policy
        for policy in expanded.of_type(kind).values()
        if name in references([policy.get("Bucket"), policy.get("Queues"), policy.get("Topics")])
    ]


def _refusals(document: Mapping[str, Any], whole: str) -> list[Statement]:
    """The statements of a document that refuse everybody everything over plain HTTP."""
    written = zip(statements(document), document["Statement"], strict=True)
    return [
        one
        for one, as_written in written
        if one.effect == "Deny"
        and as_written["Principal"] == "*"
        and one.actions == (whole,)
        and one.conditions == PLAIN_HTTP
    ]


def _policies_that_overwrite(expanded: Expanded) -> Iterator[str]:
    """A bucket, queue or topic keeps one policy: of two, the one that is written last."""
    for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
        holders = Counter(
            name
            for policy in expanded.of_type(kind).values()
            for name in references([policy.get("Bucket"), policy.get("Queues"), policy.get("Topics")])
        )
        yield from (f"{name} has {count} policies" for name, count in holders.items() if count > 1)


def _open_to_others(expanded: Expanded) -> Iterator[str]:
    """Policies on resources let in services, each tied to this account, and on keys the account itself."""
    for kind, field in RESOURCE_POLICIES.items():
        for name, resource in expanded.of_type(kind).items():
            document = resource[field]
            document = document if "Statement" in document else {"Statement": document}
            for one, written in zip(statements(document), document["Statement"], strict=True):
                if one.effect == "Allow" and not _is_meant(one, written["Principal"], kind):
                    yield f"{name} lets in {text(written['Principal'])}"


def _is_meant(one: Statement, principal: Any, kind: str) -> bool:
    if kind == "AWS::KMS::Key" and principal != "*" and text(principal.get("AWS", "")) == ROOT:
        return True
    conditions = {key: value for keys in one.conditions.values() for key, value in keys.items()}
    tied = any("${AWS::AccountId}" in conditions.get(key, "") for key in OWN) or any(
        # The reference of a topic is its ARN.
        value.endswith((".Arn}", "Topic}"))
        for key, value in conditions.items()
        if key == "aws:SourceArn"
    )
    return principal != "*" and set(principal) == {"Service"} and tied


def _trust_faults(expanded: Expanded) -> Iterator[str]:
    """A service may be made to assume a role on behalf of somebody else's resource, unless it is told whose.
    Lambda and EC2 are the exceptions: only a function or an instance of the account can be given a role of
    the account. Firehose says it by the external id («Controlling access with Amazon Data Firehose»)."""
    for role, properties in expanded.of_type("AWS::IAM::Role").items():
        document = properties["AssumeRolePolicyDocument"]
        for one, written in zip(statements(document), document["Statement"], strict=True):
            if text(written["Principal"].get("AWS", "")) == ROOT:
                continue
            key = "sts:ExternalId" if one.services == ("firehose.amazonaws.com",) else "aws:SourceAccount"
            tied = one.conditions.get("StringEquals", {}).get(key) == "${AWS::AccountId}"
            if one.services not in (("lambda.amazonaws.com",), ("ec2.amazonaws.com",)) and not tied:
                yield f"{role} can be assumed for other accounts"


def _role_users(expanded: Expanded) -> Iterator[str]:
    """Every role has one user: a shared one could do for each what only the other needs. The role that is
    passed to HealthLake stands in the environment of functions, as a setting, and is used by none of them."""
    users: dict[str, set[str]] = {role: set() for role in expanded.of_type("AWS::IAM::Role")}
    for name, resource in expanded.resources.items():
        if resource["Type"] in ("AWS::IAM::Role", "AWS::IAM::Policy"):
            continue
        properties = {
            key: value for key, value in resource.get("Properties", {}).items() if key != "Environment"
        }
        for role in references(properties) & users.keys():
            users[role].add(name)
    for role, found in users.items():
        if len(found) > 1:
            yield f"{role} is shared by {', '.join(sorted(found))}"


def test_nobody_can_reach_more_than_is_meant(expanded: Expanded) -> None:
    assert findings(expanded) == []


def test_the_bus_is_open_to_nobody_outside_the_account(expanded: Expanded) -> None:
    """Without a policy of its own only roles of the account, whose rights are tested, put events."""
    assert expanded.of_type("AWS::Events::EventBusPolicy") == {}


def test_healthlake_assumes_its_role_for_the_datastore_of_the_stack_only(expanded: Expanded) -> None:
    (trust,) = statements(expanded.properties("HealthLakeDataAccessRole")["AssumeRolePolicyDocument"])
    datastore = trust.conditions["ArnEquals"]["aws:SourceArn"]
    assert datastore.startswith(
        "arn:${AWS::Partition}:healthlake:${AWS::Region}:${AWS::AccountId}:datastore/"
    )
    assert "${Datastore.DatastoreId}" in datastore
    assert "${ExistingDatastoreId}" in datastore


def test_every_bucket_blocks_public_access(expanded: Expanded) -> None:
    for name, bucket in expanded.of_type("AWS::S3::Bucket").items():
        assert bucket["PublicAccessBlockConfiguration"] == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }, name
        assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}], name


def test_what_is_deleted_by_mistake_can_be_had_back_and_does_not_stay_for_ever(expanded: Expanded) -> None:
    for name, bucket in expanded.of_type("AWS::S3::Bucket").items():
        assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}, name
        rules = bucket["LifecycleConfiguration"]["Rules"]
        kept = [
            rule["NoncurrentVersionExpiration"] for rule in rules if "NoncurrentVersionExpiration" in rule
        ]
        assert kept == [{"NoncurrentDays": 7}], name
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), name


def test_everything_is_kept_as_long_as_a_parameter_says(expanded: Expanded) -> None:
    kept = {
        (name, rule.get("Prefix")): text(rule["ExpirationInDays"])
        for name, bucket in expanded.of_type("AWS::S3::Bucket").items()
        for rule in bucket["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    }
    assert kept == {
        ("HubBucket", "exports/"): "${ExportRetentionDays}",
        ("HubBucket", "runs/"): "${RunFileRetentionDays}",
        ("HubBucket", "changes/"): "${ChangeRetentionDays}",
        ("HubBucket", "quarantine/"): "if QuarantineExpires then ${QuarantineRetentionDays} else 36500",
        ("HubBucket", "transitions/"): "${TransitionRetentionDays}",
        ("HubBucket", "aws/lambda/"): "if DeadLettersExpire then ${DeadLetterRetentionDays} else 36500",
        ("UploadsBucket", "uploads/"): "if UploadsExpire then ${UploadRetentionDays} else 36500",
        ("HubBucket", "dead-letters/"): ("if DeadLettersExpire then ${DeadLetterRetentionDays} else 36500"),
        ("LakeBucket", "fhir/"): "if LakeExpires then ${LakeRetentionDays} else 36500",
        ("LakeBucket", "records/"): "if LakeExpires then ${LakeRetentionDays} else 36500",
        ("LakeBucket", "records-errors/"): "if QuarantineExpires then ${QuarantineRetentionDays} else 36500",
        ("QueryResultsBucket", "results/"): "${QueryResultRetentionDays}",
        ("AuditTrailBucket", None): "${AuditRetentionDays}",
    }


@pytest.mark.parametrize(
    ("bucket", "condition", "parameter"),
    [
        ("HubBucket", "QuarantineExpires", "QuarantineRetentionDays"),
        ("HubBucket", "DeadLettersExpire", "DeadLetterRetentionDays"),
        ("LakeBucket", "LakeExpires", "LakeRetentionDays"),
        ("UploadsBucket", "UploadsExpire", "UploadRetentionDays"),
        ("LakeBucket", "QuarantineExpires", "QuarantineRetentionDays"),
    ],
)
def test_quarantine_and_rows_expire_only_where_somebody_asked(
    template: dict[str, Any], expanded: Expanded, bucket: str, condition: str, parameter: str
) -> None:
    """A line or message in quarantine waits for a person; a row may be the latest that there is of a
    resource."""
    assert template["Parameters"][parameter]["Default"] == 0
    zero = {"Fn::Equals": [{"Ref": parameter}, "0"]}
    assert template["Conditions"][condition] == {"Fn::Not": [zero]}
    rules = expanded.properties(bucket)["LifecycleConfiguration"]["Rules"]
    expiring = [one for one in rules if condition in text(one.get("ExpirationInDays", ""))]
    assert expiring
    assert {text(rule["Status"]) for rule in expiring} == {f"if {condition} then Enabled else Disabled"}


def test_the_table_can_be_restored_to_any_moment(expanded: Expanded) -> None:
    for name, table in expanded.of_type("AWS::DynamoDB::Table").items():
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}, name


def _statement_dropped(policy: str, sid: str, field: str = "PolicyDocument") -> Callable[[Any], None]:
    def apply(resources: dict[str, Any]) -> None:
        document = resources[policy]["Properties"][field]
        kept = [one for one in document["Statement"] if one["Sid"] != sid]
        assert len(kept) < len(document["Statement"])
        document["Statement"] = kept

    return apply


def _left_out(policy: str, queue: str) -> Callable[[Any], None]:
    def apply(resources: dict[str, Any]) -> None:
        resources[policy]["Properties"]["Queues"].remove({"Ref": queue})

    return apply


def _condition_dropped(policy: str, sid: str, field: str = "PolicyDocument") -> Callable[[Any], None]:
    def apply(resources: dict[str, Any]) -> None:
        (one,) = [one for one in resources[policy]["Properties"][field]["Statement"] if one["Sid"] == sid]
        del one["Condition"]

    return apply


def _second_policy(resources: dict[str, Any]) -> None:
    resources["Second"] = copy.deepcopy(resources["EventBusDeadLetterQueuePolicy"])


def _open_bucket(resources: dict[str, Any]) -> None:
    document = resources["HubBucketPolicy"]["Properties"]["PolicyDocument"]
    document["Statement"].append(
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
    )


def _trust_without_account(resources: dict[str, Any]) -> None:
    trust = resources["HealthLakeDataAccessRole"]["Properties"]["AssumeRolePolicyDocument"]
    del trust["Statement"][0]["Condition"]


def _shared_role(resources: dict[str, Any]) -> None:
    shared = resources["PlanRangesFunction"]["Properties"]["Role"]
    resources["ReconcileRunFunction"]["Properties"]["Role"] = shared


@pytest.mark.parametrize(
    ("breaking", "finding"),
    [
        (_statement_dropped("HubBucketPolicy", "OnlyOverTls"), "HubBucket can be reached over plain HTTP"),
        (
            _statement_dropped("AuditTrailBucketPolicy", "OnlyOverTls"),
            "AuditTrailBucket can be reached over plain HTTP",
        ),
        (
            _statement_dropped("OtherQueuesPolicy", "OnlyOverTls"),
            "StartExportQueue can be reached over plain HTTP",
        ),
        (
            _left_out("OtherQueuesPolicy", "CleanUpDeadLetterQueue"),
            "CleanUpDeadLetterQueue can be reached over plain HTTP",
        ),
        (
            _statement_dropped("ExportJobEventsQueuePolicy", "OnlyOverTls"),
            "CheckExportQueue can be reached over plain HTTP",
        ),
        (
            _statement_dropped("RedriveAlarmQueuePolicy", "OnlyOverTls"),
            "RedriveAlarmDeadLetterQueue can be reached over plain HTTP",
        ),
        (_second_policy, "EventBusDeadLetterQueue has 2 policies"),
        (_open_bucket, "HubBucketPolicy lets in *"),
        (
            _condition_dropped("ExportJobEventsQueuePolicy", "TheRuleSendsJobEvents"),
            'ExportJobEventsQueuePolicy lets in {"Service": "events.amazonaws.com"}',
        ),
        (
            _condition_dropped("HubKey", "EventBridgeEncryptsTheBus", "KeyPolicy"),
            'HubKey lets in {"Service": "events.amazonaws.com"}',
        ),
        (_trust_without_account, "HealthLakeDataAccessRole can be assumed for other accounts"),
        (_shared_role, "PlanRangesFunctionRole is shared by PlanRangesFunction, ReconcileRunFunction"),
    ],
)
def test_a_way_in_is_found(
    expanded: Expanded, breaking: Callable[[dict[str, Any]], None], finding: str
) -> None:
    resources = copy.deepcopy(dict(expanded.resources))
    breaking(resources)
    assert finding in findings(Expanded(resources))
