"""What the roles on the way of a change to the bus may do, each thing that is missed there and no other."""

from __future__ import annotations

from local.testing.template_reader import Expanded, references, statements, text

# Amazon EventBridge User Guide, «Permissions for Amazon EventBridge Pipes»: DynamoDB streams.
NEEDED_TO_READ = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
QUARANTINE = "${HubBucket.Arn}/quarantine/records/*"
PIPE_NAME = "${AWS::StackName}-records"


def test_the_pipe_may_read_enrich_publish_and_keep_positions(expanded: Expanded) -> None:
    role = "RecordsPipeRole"
    for action in NEEDED_TO_READ:
        assert expanded.resources_for(role, f"dynamodb:{action}") == {"${RecordsTable.StreamArn}"}, action
    assert expanded.resources_for(role, "lambda:InvokeFunction") == {"${EnrichChangesFunction.Arn}"}
    assert expanded.resources_for(role, "events:PutEvents") == {"${HubEventBus.Arn}"}
    assert expanded.resources_for(role, "sqs:SendMessage") == {"${RecordsPipeDeadLetterQueue.Arn}"}


def test_every_pipe_may_use_and_check_the_key_of_its_filter(expanded: Expanded) -> None:
    """Amazon EventBridge User Guide, «Encrypting EventBridge Pipes data with AWS KMS keys»."""
    pipes = [one for one in expanded.of_type("AWS::Pipes::Pipe").values() if "KmsKeyIdentifier" in one]
    assert len(pipes) == 2
    for pipe in pipes:
        (role,) = references(pipe["RoleArn"])
        for action in ("DescribeKey", "GenerateDataKey", "Decrypt"):
            allowed = expanded.resources_for(role, f"kms:{action}")
            assert allowed == {text(pipe["KmsKeyIdentifier"])}, (role, action)


def test_only_the_pipe_itself_may_assume_its_role(expanded: Expanded) -> None:
    assert text(expanded.properties("RecordsPipe")["Name"]) == PIPE_NAME
    (trust,) = statements(expanded.properties("RecordsPipeRole")["AssumeRolePolicyDocument"])
    pipe = f"arn:${{AWS::Partition}}:pipes:${{AWS::Region}}:${{AWS::AccountId}}:pipe/{PIPE_NAME}"
    assert trust.services == ("pipes.amazonaws.com",)
    assert trust.conditions == {
        "StringEquals": {"aws:SourceAccount": "${AWS::AccountId}", "aws:SourceArn": pipe}
    }


def test_an_enrichment_may_read_items_and_keep_what_it_cannot_send(expanded: Expanded) -> None:
    role = "EnrichChangesFunctionRole"
    assert expanded.resources_for(role, "dynamodb:Query") == {"${RecordsTable.Arn}"}
    assert expanded.resources_for(role, "s3:PutObject") == {"${HubBucket.Arn}/changes/*", QUARANTINE}


def test_what_makes_rows_may_keep_those_that_are_too_large(expanded: Expanded) -> None:
    kept = expanded.resources_for("PrepareLakeRowsFunctionRole", "s3:PutObject")
    assert kept == {"${HubBucket.Arn}/changes/rows/*", QUARANTINE}
