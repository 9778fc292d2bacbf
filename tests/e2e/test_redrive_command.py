"""`redrive` on the deployed stack: a message from a dead-letter queue through quarantine to its end."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.account.clients import client
from local.cli.main import main
from local.cli.sam import account_variables
from local.cli.stack import resources

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

SECRET = "Moesgaard"
OTHER = "hub-e2e-returned"

Command = Callable[..., tuple[int, Any]]


@pytest.fixture
def redrive(hub: "Hub", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command on «a real account»; returns exit status and JSON document."""
    for name, value in account_variables(hub.account).items():
        monkeypatch.setenv(name, value)

    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        status = main(["redrive", *words, "--aws", "--json"])
        return status, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def url(hub: "Hub") -> str:
    """The URL of a dead-letter queue that a rule feeds."""
    (found,) = (
        one["PhysicalResourceId"]
        for one in resources(hub.account, hub.stack_name)
        if one["LogicalResourceId"] == "ExportJobEventsDeadLetterQueue"
    )
    return str(found)


@pytest.fixture
def key(hub: "Hub", redrive: Command, url: str) -> Iterator[str]:
    """A message that does not say where it was bound for, put in quarantine by a redrive."""
    client(hub.account, "sqs").send_message(QueueUrl=url, MessageBody=SECRET)
    queue = url.rpartition("/")[2]

    status, ended = redrive("start", "--queue", queue, "--mode", "counted")

    assert (status, ended["ending"]) == (0, "Quarantined"), ended["queues"]
    assert ended["queues"][0]["quarantined"] == 1
    _, listed = redrive("list", "--queue", queue)
    (letter,) = listed["letters"]
    assert (letter["kind"], letter["reason"]) == ("rule", "TARGET_UNKNOWN")
    assert SECRET not in json.dumps(listed)
    yield letter["key"]
    redrive("discard", letter["key"], "--yes")


def test_a_redrive_is_tried_dry_and_refused_in_words(redrive: Command) -> None:
    dry, plan = redrive("start", "--dry-run")
    refused, why = redrive("start", "--mode", "bulk", "--max-redrives", "2")

    assert (dry, plan["ending"]) == (0, "Dry Run Reported")
    assert (refused, why["ending"]) == (1, "Redrive Refused")
    assert "choose one" in why["cause"]


def test_a_message_in_quarantine_is_shown_changed_and_discarded(
    redrive: Command, key: str, tmp_path: Path
) -> None:
    body = tmp_path / "body"
    body.write_text("mended")

    edited, _ = redrive("edit", key, "--body-file", str(body))
    _, shown = redrive("show", key)
    kept, told = redrive("return", key)
    discarded, _ = redrive("discard", key, "--yes")
    gone, _ = redrive("show", key)

    assert (edited, kept, discarded, gone) == (0, 1, 0, 1)
    assert shown["letter"]["body"] == "mended"
    assert [one["body"] for one in shown["letter"]["edits"]] == [SECRET]
    assert "TARGET_UNKNOWN" in told["letters"][0]["error"]


@pytest.fixture
def returned(hub: "Hub") -> Iterator[str]:
    """A queue that a message can be returned to."""
    sqs = client(hub.account, "sqs")
    url = sqs.create_queue(QueueName=OTHER)["QueueUrl"]
    yield url
    sqs.delete_queue(QueueUrl=url)


def test_a_message_is_returned_once_however_often_it_is_asked(
    hub: "Hub", redrive: Command, key: str, returned: str
) -> None:
    sqs, s3 = client(hub.account, "sqs"), client(hub.account, "s3")
    bucket = hub.outputs["HubBucketName"]
    letter = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    target = sqs.get_queue_attributes(QueueUrl=returned, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    letter["messageAttributes"]["TARGET_ARN"] = {"DataType": "String", "StringValue": target}
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(letter).encode())

    refused, told = redrive("return", key)
    assert (refused, "TARGET_NOT_BOUND" in told["letters"][0]["error"]) == (1, True)

    answers = [redrive("return", key, "--unbound") for _ in range(2)]

    assert [(status, told["letters"][0]["outcome"]) for status, told in answers] == [
        (0, "RETURNED"),
        (0, "RETURNED_BEFORE"),
    ]
    messages = sqs.receive_message(QueueUrl=returned, MaxNumberOfMessages=10)["Messages"]
    assert [one["Body"] for one in messages] == [SECRET]
