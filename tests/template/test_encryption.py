"""Everything that can hold resource content is encrypted with the hub's key, and whoever must use it may.

A grant that is missing drops events on AWS and goes unnoticed in a local account, so the pairs of sender and
encrypted target are derived from the template here, for every kind of resource that the hub has or will have.
Followed: "Permissions for event bus encryption" and "Using dead-letter queues to capture encrypted event
errors" (Amazon EventBridge), "Data at rest encryption in Step Functions", "Configure AWS KMS key policies for
CloudTrail", "Key management" (Amazon SQS; Amazon SNS).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from local.testing.template_reader import Expanded, Statement, references, statements, text

HUB_KEY = "HubKey"

# Resources under a key of their own, and why.
OTHER_KEYS = {
    "EventBusDeadLetterQueue": (
        "EventBusDeadLetterKey",
        "takes what the bus could not encrypt with the hub's key, which would lock this queue too",
    )
}

# Where each type of resource says which key it is encrypted with.
KEYED: dict[str, tuple[str | int, ...]] = {
    "AWS::Athena::WorkGroup": (
        "WorkGroupConfiguration",
        "ResultConfiguration",
        "EncryptionConfiguration",
        "KmsKey",
    ),
    "AWS::CloudTrail::Trail": ("KMSKeyId",),
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::Events::EventBus": ("KmsKeyIdentifier",),
    "AWS::HealthLake::FHIRDatastore": ("SseConfiguration", "KmsEncryptionConfig", "KmsKeyId"),
    "AWS::Kinesis::Stream": ("StreamEncryption", "KeyId"),
    "AWS::KinesisFirehose::DeliveryStream": ("DeliveryStreamEncryptionConfigurationInput", "KeyARN"),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::Pipes::Pipe": ("KmsKeyIdentifier",),
    "AWS::S3::Bucket": (
        "BucketEncryption",
        "ServerSideEncryptionConfiguration",
        0,
        "ServerSideEncryptionByDefault",
        "KMSMasterKeyID",
    ),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::StepFunctions::StateMachine": ("EncryptionConfiguration", "KmsKeyId"),
}

# Types that keep no resource content, and why.
WITHOUT_CONTENT = {
    "AWS::AutoScaling::AutoScalingGroup": "settings; what workers read stays in memory",
    "AWS::AutoScaling::ScalingPolicy": "settings",
    "AWS::CloudWatch::Alarm": "counts",
    "AWS::CloudWatch::Dashboard": "names of metrics",
    "AWS::EC2::LaunchTemplate": "settings; the volume it describes holds system and program",
    "AWS::EC2::SecurityGroup": "settings",
    "AWS::Events::Rule": "patterns",
    "AWS::Glue::Database": "a name",
    "AWS::Glue::Table": "names of columns and places of files; what a row holds is in the bucket",
    "AWS::IAM::InstanceProfile": "the name of a role",
    "AWS::IAM::ManagedPolicy": "a policy",
    "AWS::IAM::Role": "policies",
    "AWS::KMS::Key": "the key itself",
    "AWS::Logs::LogStream": "a name; its group is encrypted",
    "AWS::Lambda::EventInvokeConfig": "settings",
    "AWS::Lambda::EventSourceMapping": "settings",
    "AWS::Lambda::Function": "code and settings, no secrets",
    "AWS::Lambda::LayerVersion": "code",
    "AWS::Lambda::Permission": "a policy",
    "AWS::S3::BucketPolicy": "a policy",
    "AWS::SNS::Subscription": "settings",
    "AWS::SNS::TopicPolicy": "a policy",
    "AWS::SQS::QueuePolicy": "a policy",
    "AWS::Scheduler::Schedule": "an input that says who starts",
}

# Services that a statement of a role may use with encrypted data, and so need the key.
USES_DATA = (
    "dynamodb:",
    "s3:",
    "sqs:",
    "sns:",
    "events:",
    "kinesis:",
    "firehose:",
    "states:DescribeExecution",
)
# How those of their actions begin that read, hide or delete, and encrypt nothing. For these a service asks
# KMS to decrypt, and not for a data key: "Key management" (Amazon SQS), consumers; "Protecting data with
# SSE-KMS" (Amazon S3). DynamoDB makes one key for a table: "Encryption at rest: How it works".
READS = re.compile(
    r"\w+:(Get|List|Describe|Query$|Scan$|BatchGet|ConditionCheck|Receive|ChangeMessageVisibility|DeleteMessage)"
)
# A start needs no key, but its schedule's dead-letter queue does; these need it whatever they are allowed.
DATA_SERVICES = ("states", "scheduler", "pipes", "firehose", "healthlake")


def findings(expanded: Expanded) -> list[str]:
    """What is not encrypted with the key, or could not use it, one line each."""
    rules = (_unencrypted, _service_faults, _role_faults)
    return sorted({fault for rule in rules for fault in rule(expanded)})


def _key_of(name: str) -> str:
    return OTHER_KEYS.get(name, (HUB_KEY, ""))[0]


def _key_said(resource: Mapping[str, Any]) -> str:
    value: Any = resource.get("Properties", {})
    for step in KEYED[resource["Type"]]:
        value = value[step] if isinstance(step, int) and value else value.get(step, {}) if value else {}
    return text(value)


def _unencrypted(expanded: Expanded) -> Iterator[str]:
    for name, resource in expanded.resources.items():
        if resource["Type"] in KEYED:
            if _key_said(resource) not in (f"${{{_key_of(name)}.Arn}}", f"${{{_key_of(name)}}}"):
                yield f"{name} is not encrypted with the key"
        elif resource["Type"] not in WITHOUT_CONTENT:
            yield f"{name} is of a type whose encryption nobody thought about: {resource['Type']}"


def _service_faults(expanded: Expanded) -> Iterator[str]:
    """Services that use the key in their own name need a statement in its policy."""
    for service, target in service_pairs(expanded):
        allowed = statements(expanded.properties(_key_of(target))["KeyPolicy"])
        lets_use = _lets_use_the_key
        if (service, expanded.resources[target]["Type"]) == ("events.amazonaws.com", "AWS::SQS::Queue"):
            lets_use = _lets_send_to_queues
        if not any(lets_use(one, service) for one in allowed):
            yield f"{service} may not use the key for {target}"


def service_pairs(expanded: Expanded) -> Iterator[tuple[str, str]]:
    """Every service that sends to something encrypted, or stores there, in its own name; and what that is."""
    for service, receivers in (*_senders(expanded), *_topics(expanded), *_logs(expanded)):
        kinds = {name: expanded.resources[name]["Type"] for name in receivers & expanded.resources.keys()}
        yield from ((service, name) for name, kind in sorted(kinds.items()) if kind in KEYED)


def _senders(expanded: Expanded) -> Iterator[tuple[str, set[str]]]:
    for rule in expanded.of_type("AWS::Events::Rule").values():
        yield "events.amazonaws.com", references(rule["Targets"])
    for name, bus in expanded.of_type("AWS::Events::EventBus").items():
        yield "events.amazonaws.com", {name, *references(bus.get("DeadLetterConfig"))}
    for alarm in expanded.of_type("AWS::CloudWatch::Alarm").values():
        actions = [alarm.get(kind) for kind in ("AlarmActions", "OKActions", "InsufficientDataActions")]
        yield "cloudwatch.amazonaws.com", references(actions)
    for bucket in expanded.of_type("AWS::S3::Bucket").values():
        yield "s3.amazonaws.com", references(bucket.get("NotificationConfiguration"))


def _topics(expanded: Expanded) -> Iterator[tuple[str, set[str]]]:
    for topic in expanded.of_type("AWS::SNS::Topic").values():
        yield "sns.amazonaws.com", references(topic.get("Subscription"))
    for one in expanded.of_type("AWS::SNS::Subscription").values():
        yield "sns.amazonaws.com", references(one["Endpoint"]) | references(one.get("RedrivePolicy"))


def _logs(expanded: Expanded) -> Iterator[tuple[str, set[str]]]:
    for name in expanded.of_type("AWS::Logs::LogGroup"):
        yield "logs.${AWS::Region}.amazonaws.com", {name}
    for name, machine in expanded.of_type("AWS::StepFunctions::StateMachine").items():
        if machine.get("EncryptionConfiguration") and machine.get("LoggingConfiguration"):
            yield "delivery.logs.amazonaws.com", {name}
    for trail in expanded.of_type("AWS::CloudTrail::Trail").values():
        yield "cloudtrail.amazonaws.com", references(trail["S3BucketName"])


def _lets_use_the_key(one: Statement, service: str) -> bool:
    conditions = {key: value for keys in one.conditions.values() for key, value in keys.items()}
    own = conditions.get("aws:SourceAccount") == "${AWS::AccountId}" or any(
        ":${AWS::AccountId}:" in conditions.get(key, "")
        for key in (
            "aws:SourceArn",
            "kms:EncryptionContext:aws:logs:arn",
            "kms:EncryptionContext:SourceArn",
        )
    )
    # delivery.logs reads what Step Functions has encrypted; all others encrypt too.
    needed = ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"]
    if service == "delivery.logs.amazonaws.com":
        needed = ["kms:Decrypt"]
    return one.services == (service,) and own and all(one.allows(action) for action in needed)


def _lets_send_to_queues(one: Statement, service: str) -> bool:
    """EventBridge's calls for encrypted topics come without aws:SourceAccount and aws:SourceArn ("Key
    management", Amazon SNS), and nothing is said of those for queues. SQS names the queue in the encryption
    context, which DescribeKey does not have."""
    queues = one.conditions == {
        "ArnLike": {
            "kms:EncryptionContext:aws:sqs:arn": (
                "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:*"
            )
        }
    }
    needed = ("kms:Decrypt", "kms:GenerateDataKey")
    return one.services == (service,) and queues and all(one.allows(action) for action in needed)


def _role_faults(expanded: Expanded) -> Iterator[str]:
    """Roles that send to, read or write something encrypted need the key themselves; so do those that
    services assume to run executions, deliver streams, start by schedule or export."""
    polled_by = {
        role
        for mapping in expanded.of_type("AWS::Lambda::EventSourceMapping").values()
        for function in references(mapping["FunctionName"])
        for role in references(expanded.properties(function)["Role"])
    }
    for role, properties in expanded.of_type("AWS::IAM::Role").items():
        granted = expanded.granted(role)
        used = {action for one in granted for action in one.actions if action.startswith(USES_DATA)}
        trusted = _assumed_by_a_data_service(properties)
        writes = trusted or any(not READS.match(action) for action in used)
        if used or role in polled_by or trusted:
            yield from _key_faults(role, "kms:Decrypt", True, expanded)
            yield from _key_faults(role, "kms:GenerateDataKey", writes, expanded)


def _key_faults(role: str, action: str, needed: bool, expanded: Expanded) -> Iterator[str]:
    """Where a role may not do with the hub's key what it has to, or may what it need not."""
    may = f"${{{HUB_KEY}.Arn}}" in expanded.resources_for(role, action)
    if needed and not may:
        yield f"{role} lacks {action}"
    if may and not needed:
        yield f"{role} has {action}, and only reads"


def _assumed_by_a_data_service(role: Mapping[str, Any]) -> bool:
    trusted = [name for one in statements(role["AssumeRolePolicyDocument"]) for name in one.services]
    return any(name.partition(".")[0] in DATA_SERVICES for name in trusted)


def test_everything_is_encrypted_and_whoever_needs_the_key_may_use_it(expanded: Expanded) -> None:
    assert findings(expanded) == []


def test_every_pair_of_sender_and_encrypted_target_is_derived(expanded: Expanded) -> None:
    pairs = set(service_pairs(expanded))
    assert {
        ("events.amazonaws.com", "CheckExportQueue"),
        ("events.amazonaws.com", "ExportJobEventsDeadLetterQueue"),
        ("events.amazonaws.com", "ExecutionEndedDeadLetterQueue"),
        ("events.amazonaws.com", "EventBusDeadLetterQueue"),
        ("events.amazonaws.com", "HubEventBus"),
        ("logs.${AWS::Region}.amazonaws.com", "ExportStateMachineLogs"),
        ("delivery.logs.amazonaws.com", "ExportStateMachine"),
        ("cloudtrail.amazonaws.com", "AuditTrailBucket"),
    } <= pairs


@pytest.mark.parametrize("key", ["HubKey", "EventBusDeadLetterKey"])
def test_a_key_rotates_and_only_the_account_administers_it(expanded: Expanded, key: str) -> None:
    properties = expanded.properties(key)
    assert properties["EnableKeyRotation"] is True
    whole = [one for one in properties["KeyPolicy"]["Statement"] if one["Action"] == "kms:*"]
    (principal,) = [text(one["Principal"]["AWS"]) for one in whole]
    assert principal == "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"


def test_no_service_may_use_a_key_for_another_account(expanded: Expanded) -> None:
    """Or anybody's resources could be stored under it: the confused deputy."""
    for name, key in expanded.of_type("AWS::KMS::Key").items():
        for one in statements(key["KeyPolicy"]):
            values = " ".join(value for keys in one.conditions.values() for value in keys.values())
            assert not one.services or "${AWS::AccountId}" in values, (name, one)


def test_every_key_has_something_under_it(expanded: Expanded) -> None:
    """A name among the exceptions that nothing has any more would hide the next mistake."""
    assert OTHER_KEYS.keys() <= expanded.resources.keys()
    used = {HUB_KEY} | {key for key, _ in OTHER_KEYS.values()}
    assert used == set(expanded.of_type("AWS::KMS::Key"))


def _without_key_statement(sid: str, key: str = HUB_KEY) -> Callable[[dict[str, Any]], None]:
    def apply(resources: dict[str, Any]) -> None:
        policy = resources[key]["Properties"]["KeyPolicy"]
        kept = [one for one in policy["Statement"] if one["Sid"] != sid]
        assert len(kept) < len(policy["Statement"])
        policy["Statement"] = kept

    return apply


def _without_key_rights(role: str) -> Callable[[dict[str, Any]], None]:
    def apply(resources: dict[str, Any]) -> None:
        for policy in resources[role]["Properties"]["Policies"]:
            document = policy["PolicyDocument"]
            document["Statement"] = [
                one for one in document["Statement"] if "kms:" not in text(one["Action"])
            ]

    return apply


def _with_data_keys(role: str) -> Callable[[dict[str, Any]], None]:
    def apply(resources: dict[str, Any]) -> None:
        document = resources[role]["Properties"]["Policies"][-1]["PolicyDocument"]
        key = {"Fn::GetAtt": [HUB_KEY, "Arn"]}
        document["Statement"].append({"Effect": "Allow", "Action": "kms:GenerateDataKey", "Resource": key})

    return apply


def _without(resource: str, field: str) -> Callable[[dict[str, Any]], None]:
    return lambda resources: resources[resource]["Properties"].pop(field) and None


def _added(name: str, kind: str, **properties: Any) -> Callable[[dict[str, Any]], None]:
    return lambda resources: resources.update({name: {"Type": kind, "Properties": properties}})


def _assumable(service: str) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"AssumeRolePolicyDocument": {"Statement": [trust]}}


TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"KmsMasterKeyId": {"Fn::GetAtt": [HUB_KEY, "Arn"]}}}


def _with_topic_that(sender: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """A topic of the test's own, with what sends to it or takes from it, and a key that nobody opened."""

    def apply(resources: dict[str, Any]) -> None:
        resources["TestTopic"] = TOPIC
        policy = resources[HUB_KEY]["Properties"]["KeyPolicy"]
        closed = ("cloudwatch.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com")
        policy["Statement"] = [
            one for one in policy["Statement"] if one["Principal"].get("Service") not in closed
        ]
        sender(resources)

    return apply


def _bucket_that_notifies(resources: dict[str, Any]) -> None:
    notifies = {"TopicConfigurations": [{"Event": "s3:ObjectCreated:*", "Topic": {"Ref": "TestTopic"}}]}
    resources["HubBucket"]["Properties"]["NotificationConfiguration"] = notifies


@pytest.mark.parametrize(
    ("breaking", "finding"),
    [
        (_without("HubTable", "SSESpecification"), "HubTable is not encrypted with the key"),
        (_without("HubBucket", "BucketEncryption"), "HubBucket is not encrypted with the key"),
        (_without("HubEventBus", "KmsKeyIdentifier"), "HubEventBus is not encrypted with the key"),
        (_without("StartExportQueue", "KmsMasterKeyId"), "StartExportQueue is not encrypted with the key"),
        (
            _without("ExportStateMachine", "EncryptionConfiguration"),
            "ExportStateMachine is not encrypted with the key",
        ),
        (_added("Topic", "AWS::SNS::Topic"), "Topic is not encrypted with the key"),
        (_added("Pipe", "AWS::Pipes::Pipe"), "Pipe is not encrypted with the key"),
        (
            _added("Search", "AWS::OpenSearchService::Domain"),
            "Search is of a type whose encryption nobody thought about: AWS::OpenSearchService::Domain",
        ),
        (
            _without_key_statement("EventBridgeSendsToEncryptedQueues"),
            "events.amazonaws.com may not use the key for CheckExportQueue",
        ),
        (
            _without_key_statement("EventBridgeEncryptsTheBus"),
            "events.amazonaws.com may not use the key for HubEventBus",
        ),
        (
            _without_key_statement("EventBridgeSendsToTheDeadLetterQueue", "EventBusDeadLetterKey"),
            "events.amazonaws.com may not use the key for EventBusDeadLetterQueue",
        ),
        (
            _without_key_statement("CloudWatchLogsEncrypts"),
            "logs.${AWS::Region}.amazonaws.com may not use the key for PlanRangesLogs",
        ),
        (
            _without_key_statement("LogDeliveryDecrypts"),
            "delivery.logs.amazonaws.com may not use the key for ExportStateMachine",
        ),
        (
            _without_key_statement("AuditTrailEncrypts"),
            "cloudtrail.amazonaws.com may not use the key for AuditTrailBucket",
        ),
        (
            _with_topic_that(_added("Alarm", "AWS::CloudWatch::Alarm", AlarmActions=[{"Ref": "TestTopic"}])),
            "cloudwatch.amazonaws.com may not use the key for TestTopic",
        ),
        (
            _with_topic_that(_bucket_that_notifies),
            "s3.amazonaws.com may not use the key for TestTopic",
        ),
        (
            _with_topic_that(
                _added(
                    "Subscription",
                    "AWS::SNS::Subscription",
                    TopicArn={"Ref": "TestTopic"},
                    Endpoint={"Fn::GetAtt": ["CheckExportQueue", "Arn"]},
                )
            ),
            "sns.amazonaws.com may not use the key for CheckExportQueue",
        ),
        (_without_key_rights("ExportScheduleRole"), "ExportScheduleRole lacks kms:GenerateDataKey"),
        (_without_key_rights("HealthLakeDataAccessRole"), "HealthLakeDataAccessRole lacks kms:Decrypt"),
        (_without_key_rights("PlanRedriveFunctionRole"), "PlanRedriveFunctionRole lacks kms:Decrypt"),
        (
            _with_data_keys("PlanRedriveFunctionRole"),
            "PlanRedriveFunctionRole has kms:GenerateDataKey, and only reads",
        ),
        (_without_key_rights("CheckExportFunctionRole"), "CheckExportFunctionRole lacks kms:Decrypt"),
        (_without_key_rights("ExportStateMachineRole"), "ExportStateMachineRole lacks kms:GenerateDataKey"),
        (
            _added("PipeRole", "AWS::IAM::Role", **_assumable("pipes.amazonaws.com")),
            "PipeRole lacks kms:Decrypt",
        ),
        (
            _added("DeliveryRole", "AWS::IAM::Role", **_assumable("firehose.amazonaws.com")),
            "DeliveryRole lacks kms:GenerateDataKey",
        ),
    ],
)
def test_a_missing_key_or_grant_is_found(
    expanded: Expanded, breaking: Callable[[dict[str, Any]], None], finding: str
) -> None:
    resources = copy.deepcopy(dict(expanded.resources))
    breaking(resources)
    assert finding in findings(Expanded(resources))
