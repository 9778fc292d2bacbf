"""What the roles on the way of a row into the lake may do, each thing that is missed there and no other."""

from __future__ import annotations

from local.testing.template_reader import Expanded, statements, text

# Amazon Data Firehose Developer Guide, «Controlling access with Amazon Data Firehose»: destinations in S3,
# format conversion, data transformation, logging.
NEEDED_BY_FIREHOSE = {
    "s3:PutObject": ["${LakeBucket.Arn}/records/*", "${LakeBucket.Arn}/records-errors/*"],
    "s3:GetObject": ["${LakeBucket.Arn}/records/*", "${LakeBucket.Arn}/records-errors/*"],
    "s3:AbortMultipartUpload": ["${LakeBucket.Arn}/records/*", "${LakeBucket.Arn}/records-errors/*"],
    "s3:GetBucketLocation": ["${LakeBucket.Arn}"],
    "s3:ListBucket": ["${LakeBucket.Arn}"],
    "s3:ListBucketMultipartUploads": ["${LakeBucket.Arn}"],
    "lambda:InvokeFunction": ["${PartitionLakeRowsFunction.Arn}"],
    "lambda:GetFunctionConfiguration": ["${PartitionLakeRowsFunction.Arn}"],
    "logs:PutLogEvents": ["${LakeRowsStreamLogs.Arn}"],
} | {
    f"glue:{action}": [
        "arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}:" + resource
        for resource in (
            "catalog",
            "database/${LakeDatabase}",
            "table/${LakeDatabase}/${RecordsLakeTable}",
        )
    ]
    for action in ("GetTable", "GetTableVersion", "GetTableVersions")
}
# Amazon EventBridge User Guide, «Permissions for Amazon EventBridge Pipes»: DynamoDB streams.
NEEDED_BY_THE_PIPE = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")


def test_firehose_may_do_what_it_documents(expanded: Expanded) -> None:
    for action, resources in NEEDED_BY_FIREHOSE.items():
        allowed = expanded.resources_for("LakeRowsStreamRole", action)
        assert allowed == set(resources), action


def test_the_pipe_to_the_lake_may_read_make_rows_and_hand_them_on(expanded: Expanded) -> None:
    role = "LakeRowsPipeRole"
    for action in NEEDED_BY_THE_PIPE:
        assert expanded.resources_for(role, f"dynamodb:{action}") == {"${RecordsTable.StreamArn}"}, action
    assert expanded.resources_for(role, "lambda:InvokeFunction") == {"${PrepareLakeRowsFunction.Arn}"}
    assert expanded.resources_for(role, "firehose:PutRecordBatch") == {"${LakeRowsStream.Arn}"}
    assert expanded.resources_for(role, "sqs:SendMessage") == {"${LakeRowsPipeDeadLetterQueue.Arn}"}


def test_the_transformation_may_bring_in_large_rows_and_send_them_back(expanded: Expanded) -> None:
    role = "PartitionLakeRowsFunctionRole"
    stream = text(expanded.properties("LakeRowsStream")["DeliveryStreamName"])
    assert expanded.resources_for(role, "s3:GetObject") == {"${HubBucket.Arn}/changes/rows/*"}
    assert expanded.resources_for(role, "s3:ListBucket") == {"${HubBucket.Arn}"}
    put = expanded.resources_for(role, "firehose:PutRecordBatch")
    assert [one.partition(":deliverystream/")[2] for one in put] == [stream]


def test_what_the_pipe_failed_on_can_be_put_into_the_stream_by_a_redrive(expanded: Expanded) -> None:
    allowed = expanded.resources_for("RedriveMessagesFunctionRole", "firehose:PutRecordBatch")
    assert allowed == {"${LakeRowsStream.Arn}"}


def test_only_this_account_may_have_firehose_assume_its_role(expanded: Expanded) -> None:
    (trust,) = statements(expanded.properties("LakeRowsStreamRole")["AssumeRolePolicyDocument"])
    assert trust.conditions == {"StringEquals": {"sts:ExternalId": "${AWS::AccountId}"}}
