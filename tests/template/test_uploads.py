"""The upload front: who may upload where and how, and that nothing that happens there goes unnoticed."""

from __future__ import annotations

from typing import Any

import pytest

from local.erasure.stack_buckets import StackBuckets, StackResource, Treatment, treatment
from local.testing.template_reader import Expanded, references, statements, text

OWN = "${UploadsBucket.Arn}/uploads/${!aws:PrincipalTag/identity}/*"
ROLE = "UploaderRole"


def test_who_uploads_writes_below_its_own_prefix_over_tls_and_does_nothing_else(expanded: Expanded) -> None:
    allowed = [one for one in expanded.granted(ROLE) if not one.actions[0].startswith("kms:")]
    assert {action for one in allowed for action in one.actions} == {
        "s3:PutObject",
        "s3:AbortMultipartUpload",
    }
    for one in allowed:
        assert one.resources == (OWN,)
        assert one.conditions == {"Bool": {"aws:SecureTransport": "true"}}
    assert not expanded.properties(ROLE).get("ManagedPolicyArns")


def test_who_uploads_uses_the_key_through_s3_and_for_the_bucket_alone(expanded: Expanded) -> None:
    """With a bucket key the encryption context is the bucket («Reducing the cost of SSE-KMS with Amazon S3
    Bucket Keys», Amazon S3 User Guide); parts are read again when they are put together."""
    (one,) = [one for one in expanded.granted(ROLE) if one.actions[0].startswith("kms:")]
    assert set(one.actions) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert one.resources == ("${HubKey.Arn}",)
    assert one.conditions == {
        "StringEquals": {
            "kms:ViaService": "s3.${AWS::Region}.amazonaws.com",
            "kms:EncryptionContext:aws:s3:arn": "${UploadsBucket.Arn}",
        }
    }
    (encryption,) = expanded.properties("UploadsBucket")["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert encryption["BucketKeyEnabled"] is True


def test_a_session_of_the_role_has_one_tag_that_names_one_prefix(expanded: Expanded) -> None:
    """Without it there would be no prefix; with a slash it would be below that of another identity, and with
    more tags a session could pass for something else where they are asked for."""
    document = expanded.properties(ROLE)["AssumeRolePolicyDocument"]
    (written,), (one,) = document["Statement"], statements(document)
    assert text(written["Principal"]["AWS"]) == "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"
    assert one.actions == ("sts:AssumeRole", "sts:TagSession")
    assert one.conditions == {
        "StringLike": {"aws:RequestTag/identity": "?*"},
        "StringNotLike": {"aws:RequestTag/identity": "*/*"},
        "ForAllValues:StringEquals": {"aws:TagKeys": "identity"},
    }


def test_the_bucket_takes_no_key_but_the_stacks(expanded: Expanded) -> None:
    refusals = {
        one["Sid"]: one["Condition"]
        for one in expanded.properties("UploadsBucketPolicy")["PolicyDocument"]["Statement"]
        if one["Effect"] == "Deny"
    }
    header = "s3:x-amz-server-side-encryption"
    assert refusals["NoOtherEncryption"] == {
        "Null": {header: "false"},
        "StringNotEquals": {header: "aws:kms"},
    }
    assert text(refusals["NoOtherKey"]["StringNotEquals"][f"{header}-aws-kms-key-id"]) == "${HubKey.Arn}"
    assert refusals["NoOtherKey"]["Null"] == {f"{header}-aws-kms-key-id": "false"}
    assert refusals["NoKeyOfTheSender"] == {"Null": {f"{header}-customer-algorithm": "false"}}


def test_the_topic_is_told_of_everything_that_makes_or_ends_an_object(expanded: Expanded) -> None:
    configured = expanded.properties("UploadsBucket")["NotificationConfiguration"]
    assert configured.keys() == {"TopicConfigurations"}
    told = {one["Event"]: references(one["Topic"]) for one in configured["TopicConfigurations"]}
    assert told == {
        event: {"UploadsTopic"}
        for event in (
            "s3:ObjectCreated:*",
            "s3:ObjectRemoved:*",
            "s3:LifecycleExpiration:DeleteMarkerCreated",
        )
    }
    assert not any("Filter" in one for one in configured["TopicConfigurations"])


def test_only_the_bucket_may_tell_the_topic_and_it_may_before_it_is_there(expanded: Expanded) -> None:
    (allowed,) = [
        one
        for one in statements(expanded.properties("UploadsTopicPolicy")["PolicyDocument"])
        if one.effect == "Allow"
    ]
    assert (allowed.services, allowed.actions) == (("s3.amazonaws.com",), ("sns:Publish",))
    assert allowed.conditions["StringEquals"] == {"aws:SourceAccount": "${AWS::AccountId}"}
    named = allowed.conditions["ArnLike"]["aws:SourceArn"]
    assert named == "arn:${AWS::Partition}:s3:::${AWS::StackName}-uploadsbucket-*"
    assert expanded.resources["UploadsBucket"]["DependsOn"] == "UploadsTopicPolicy"


def test_the_function_is_one_subscriber_like_any_other(expanded: Expanded) -> None:
    subscribed = [
        one
        for one in expanded.of_type("AWS::SNS::Subscription").values()
        if "UploadsTopic" in references(one["TopicArn"])
    ]
    assert [references(one["Endpoint"]) for one in subscribed] == [{"RecordUploadFunction"}]
    assert references(subscribed[0]["RedrivePolicy"]) == {"UploadNotificationsDeadLetterQueue"}


def test_the_function_writes_items_of_uploads_and_no_others(expanded: Expanded) -> None:
    of_the_table = [
        (one.actions, one.resources, one.conditions)
        for one in expanded.granted("RecordUploadFunctionRole")
        if any(action.startswith("dynamodb:") for action in one.actions)
    ]
    uploads = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "UPLOAD#*"}}
    assert of_the_table == [(("dynamodb:UpdateItem",), ("${JobsTable.Arn}",), uploads)]


def test_both_functions_use_the_key(expanded: Expanded) -> None:
    for role in ("RecordUploadFunctionRole", "DetectTransitionsFunctionRole"):
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            assert "${HubKey.Arn}" in expanded.resources_for(role, action), (role, action)


@pytest.mark.parametrize(
    ("function", "variables"),
    [
        ("RecordUploadFunction", {"JOBS_TABLE", "MAX_UPLOAD_MEGABYTES"}),
        ("DetectTransitionsFunction", {"JOBS_QUEUE_URL"}),
    ],
)
def test_a_function_has_settings_of_its_own(
    template: dict[str, Any], function: str, variables: set[str]
) -> None:
    own = template["Resources"][function]["Properties"]["Environment"]["Variables"]
    assert set(own) == variables


def test_the_transitions_queue_keeps_the_order_of_each_item(expanded: Expanded) -> None:
    queue = expanded.properties("JobsQueue")
    assert queue["FifoQueue"] is True
    assert not queue.get("ContentBasedDeduplication")
    assert queue["DeduplicationScope"] == "messageGroup"
    assert queue["FifoThroughputLimit"] == "perMessageGroupId"
    assert expanded.properties("JobsDeadLetterQueue")["FifoQueue"] is True


def test_the_jobs_table_has_one_reader_of_its_stream(expanded: Expanded) -> None:
    readers = [
        name
        for kind, field in (
            ("AWS::Lambda::EventSourceMapping", "EventSourceArn"),
            ("AWS::Pipes::Pipe", "Source"),
        )
        for name, one in expanded.of_type(kind).items()
        if "JobsTable" in references(one[field])
    ]
    assert readers == ["DetectTransitionsFunctionJobsChanged"]


def test_an_erasure_knows_every_bucket_of_the_stack(expanded: Expanded) -> None:
    """One that it does not know it can only name, and then it never says that nothing is left."""
    buckets = [StackResource(name, "AWS::S3::Bucket", name) for name in expanded.of_type("AWS::S3::Bucket")]
    assert StackBuckets.among(buckets).unknown == ()


@pytest.mark.parametrize(
    ("bucket", "key", "treated"),
    [
        ("HubBucket", "transitions/attributes/1.json", Treatment.WHOLE),
        ("HubBucket", "aws/lambda/1/2026/11/21/1", Treatment.WHOLE),
        ("UploadsBucket", "uploads/lab-7/results.ndjson", Treatment.SEARCHED),
    ],
)
def test_an_erasure_takes_what_transitions_wrote_and_leaves_uploads_to_their_senders(
    bucket: str, key: str, treated: Treatment
) -> None:
    assert treatment(bucket, key) is treated
