"""What a function or a pipe fails on in a stream goes to a queue of that kind, with all a queue needs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dlq_redrive.dead_letter import KINDS
from local.testing.dead_letter_rules import dead_letter_kinds, findings
from local.testing.template_reader import Expanded

Template = dict[str, Any]

TABLE = {
    "Type": "AWS::DynamoDB::Table",
    "Properties": {"StreamSpecification": {"StreamViewType": "NEW_IMAGE"}},
}
STREAM = {"Fn::GetAtt": ["Orders", "StreamArn"]}


def _queue(kind: str) -> dict[str, Any]:
    tags = {"redrive-kind": kind, "redrive-stack": {"Ref": "AWS::StackName"}}
    written = [{"Key": key, "Value": value} for key, value in tags.items()]
    return {
        "Type": "AWS::SQS::Queue",
        "Properties": {"MessageRetentionPeriod": 1_209_600, "Tags": written},
    }


def _function(type_of_event: str) -> dict[str, Any]:
    """A function of SAM that reads the stream."""
    event = {
        "Type": type_of_event,
        "Properties": {
            "Stream": STREAM,
            "StartingPosition": "LATEST",
            "MaximumRetryAttempts": 3,
            "DestinationConfig": {
                "OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": ["Dead", "Arn"]}},
            },
        },
    }
    return {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "Handler": "index.handler",
            "Runtime": "python3.13",
            "Timeout": 30,
            "Events": {"Reads": event},
        },
    }


def _pipe(parameters: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Pipes::Pipe",
        "Properties": {
            "Source": STREAM,
            "Target": {"Fn::GetAtt": ["Target", "Arn"]},
            "RoleArn": {"Fn::GetAtt": ["PipeRole", "Arn"]},
            "SourceParameters": {
                parameters: {
                    "StartingPosition": "LATEST",
                    "MaximumRecordAgeInSeconds": 3600,
                    "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["Dead", "Arn"]}},
                }
            },
        },
    }


def _role() -> dict[str, Any]:
    allowed = {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": {"Fn::GetAtt": ["Dead", "Arn"]},
    }
    policy = {"PolicyName": "Fails", "PolicyDocument": {"Statement": [allowed]}}
    trust = {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {}}]}
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {"AssumeRolePolicyDocument": trust, "Policies": [policy]},
    }


def with_function(type_of_event: str = "DynamoDB") -> Template:
    return {"Orders": TABLE, "Dead": _queue("stream"), "Reader": _function(type_of_event)}


def with_pipe(parameters: str = "DynamoDBStreamParameters") -> Template:
    return {
        "Orders": TABLE,
        "Dead": _queue("pipe"),
        "PipeRole": _role(),
        "Target": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"Definition": {}}},
        "Reader": _pipe(parameters),
    }


@pytest.fixture
def read(expanded_from: Callable[[Mapping[str, Any]], Expanded]) -> Callable[[Template], Expanded]:
    """What CloudFormation gets for a few resources."""

    def expand(resources: Template) -> Expanded:
        others = {
            name: one for name, one in resources.items() if one["Type"] != "AWS::StepFunctions::StateMachine"
        }
        whole = expanded_from({"Globals": {"Function": {}}, "Resources": copy.deepcopy(others)})
        return Expanded({**whole.resources, **{n: one for n, one in resources.items() if n not in others}})

    return expand


@pytest.mark.parametrize(
    ("resources", "kind"),
    [
        (with_function(), "stream"),
        (with_function("Kinesis"), "stream"),
        (with_pipe(), "pipe"),
        (with_pipe("KinesisStreamParameters"), "pipe"),
    ],
)
def test_a_reader_of_a_stream_with_a_dead_letter_queue_is_right(
    read: Callable[[Template], Expanded], resources: Template, kind: str
) -> None:
    expanded = read(resources)
    assert dead_letter_kinds(expanded) == {"Dead": {kind}}
    assert findings(expanded) == []


def test_a_pipe_that_reads_a_queue_needs_the_queues_own_alone(
    read: Callable[[Template], Expanded],
) -> None:
    resources = {**with_pipe(), "Dead": _queue("sqs"), "Work": _queue("sqs")}
    pipe, work = resources["Reader"]["Properties"], resources["Work"]["Properties"]
    pipe |= {"Source": {"Fn::GetAtt": ["Work", "Arn"]}, "SourceParameters": {"SqsQueueParameters": {}}}
    work |= {
        "MessageRetentionPeriod": 345_600,
        "Tags": work["Tags"][1:],
        "RedrivePolicy": {"deadLetterTargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}, "maxReceiveCount": 5},
    }
    assert findings(read(resources)) == []


def test_every_kind_of_dead_letters_is_derived(
    read: Callable[[Template], Expanded], expanded: Expanded
) -> None:
    templates = (expanded, read(with_function()), read(with_pipe()))
    derived = {kind for one in templates for kinds in dead_letter_kinds(one).values() for kind in kinds}
    assert derived == set(KINDS)


def _without(*path: str) -> Callable[[Template], None]:
    def apply(resources: Template) -> None:
        *steps, last = path
        target: Any = resources
        for step in steps:
            target = target[step]
        del target[last]

    return apply


def _of_another_kind(resources: Template) -> None:
    resources["Dead"]["Properties"]["Tags"][0]["Value"] = "sqs"


EVENT = ("Reader", "Properties", "Events", "Reads", "Properties")
SOURCE = ("Reader", "Properties", "SourceParameters", "DynamoDBStreamParameters")


@pytest.mark.parametrize(
    ("resources", "breaking", "finding"),
    [
        (with_function, _without(*EVENT, "DestinationConfig"), "ReaderReads has no dead-letter queue"),
        (with_function, _without(*EVENT, "MaximumRetryAttempts"), "ReaderReads has unbounded retries"),
        (with_function, _of_another_kind, "Dead has the redrive-kind sqs"),
        (
            with_function,
            _without("Dead", "Properties", "MessageRetentionPeriod"),
            "Dead keeps dead letters 345600 seconds",
        ),
        (with_pipe, _without(*SOURCE, "DeadLetterConfig"), "Reader has no dead-letter queue"),
        (with_pipe, _without("Reader", "Properties", "SourceParameters"), "Reader has no dead-letter queue"),
        (with_pipe, _without(*SOURCE, "MaximumRecordAgeInSeconds"), "Reader has unbounded retries"),
        (with_pipe, _without("PipeRole", "Properties", "Policies"), "Reader may not send to Dead"),
        (with_pipe, _of_another_kind, "Dead has the redrive-kind sqs"),
    ],
)
def test_a_way_to_lose_a_record_is_found(
    read: Callable[[Template], Expanded],
    resources: Callable[[], Template],
    breaking: Callable[[Template], None],
    finding: str,
) -> None:
    broken = copy.deepcopy(resources())
    breaking(broken)
    assert finding in findings(read(broken))
