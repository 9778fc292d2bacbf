"""Every command of the runbook, run as it stands there against the deployed stack.

The local account is reached the way a real one is, by AWS's own variables, so that what is tried is what
somebody on call types.
"""

import json
import re
import shlex
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.account.clients import client
from local.cli.accounts import account_id
from local.cli.main import main
from local.cli.stack import resources

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
PROGRAM = ".venv/bin/python -m local "
STACK = "healthlake-hub"


def commands() -> list[str]:
    """The lines of every fenced block, each once; not those for the AWS CLI, which is not part of the hub."""
    text = RUNBOOK.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = dict.fromkeys(line for block in blocks for line in block.splitlines())
    return [line for line in lines if not line.startswith("aws ")]


@pytest.fixture(scope="module")
def placeholders(hub: "Hub") -> dict[str, str]:
    """What stands in angle brackets: a run with a resource in quarantine, and where that lies; a dead-letter
    queue, and a message of it in quarantine; what uploads have."""
    body = b'{"resourceType":"Patient","id":"in-the-runbook","active":true}'
    assert hub.fhir.put("Patient/in-the-runbook", body).status in (200, 201)
    faults = f"{hub.account.endpoint}/_local/healthlake/faults"
    failed = [{"resourceType": "Patient", "id": "in-the-runbook"}]
    order = json.dumps({"fault": "errors-in-next-job", "resources": failed}).encode()
    urllib.request.urlopen(urllib.request.Request(faults, order, method="POST")).close()
    executions = hub.executions
    run = executions.follow(executions.start({}), lambda _state: None, lambda: None)
    assert hub.fhir.request("DELETE", "Patient/in-the-runbook").status in (200, 204)
    listing = client(hub.account, "s3").list_objects_v2(
        Bucket=hub.outputs["HubBucketName"], Prefix=f"quarantine/{run.run_id}/"
    )
    window = {"<since>": "2026-01-01T00:00:00Z", "<until>": "2026-01-01T01:00:00Z"}
    key = listing["Contents"][0]["Key"]
    return {"<run id>": run.run_id, "<key>": key, **window, **_dead_letter(hub), **_uploads(hub)}


def _dead_letter(hub: "Hub") -> dict[str, str]:
    """A dead-letter queue, and a message in quarantine that a rule could not deliver to a queue."""
    queue = next(
        one["PhysicalResourceId"].rpartition("/")[2]
        for one in resources(hub.account, hub.stack_name)
        if one["LogicalResourceId"] == "ExportJobEventsDeadLetterQueue"
    )
    target = client(hub.account, "sqs").create_queue(QueueName=f"{hub.stack_name}-in-the-runbook")["QueueUrl"]
    place = f"arn:aws:sqs:{hub.account.region}:{account_id(hub.account)}"
    target_arn = f"{place}:{target.rpartition('/')[2]}"
    rule_arn = _rule(hub, target_arn, f"{place}:{queue}")
    key = f"dead-letters/{queue}/{'0' * 64}-in-the-runbook.json"
    letter = {
        "queueArn": f"{place}:{queue}",
        "kind": "rule",
        "messageId": "in-the-runbook",
        "identity": "0" * 64,
        "body": "{}",
        "messageAttributes": {
            name: {"DataType": "String", "StringValue": arn}
            for name, arn in (("TARGET_ARN", target_arn), ("RULE_ARN", rule_arn))
        },
        "attributes": {},
        "firstFailedAt": "2026-01-01T00:00:00.000Z",
        "lastFailedAt": "2026-01-01T00:00:00.000Z",
        "redrives": 3,
        "history": [],
        "reason": "REDRIVEN_TOO_OFTEN",
        "quarantinedAt": "2026-01-01T00:00:00.000Z",
    }
    body = json.dumps(letter).encode()
    client(hub.account, "s3").put_object(Bucket=hub.outputs["HubBucketName"], Key=key, Body=body)
    return {"<queue>": queue, "<dead letter>": key}


def _uploads(hub: "Hub") -> dict[str, str]:
    """The queue of notifications that nobody took, and whose they were; an item of the jobs table."""
    names = {
        one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources(hub.account, hub.stack_name)
    }
    item = {"id": {"S": "in-the-runbook"}, "itemType": {"S": "Job"}}
    client(hub.account, "dynamodb").put_item(TableName=names["JobsTable"], Item=item)
    place = f"arn:aws:lambda:{hub.account.region}:{account_id(hub.account)}:function"
    return {
        "<notifications>": names["UploadNotificationsDeadLetterQueue"].rpartition("/")[2],
        "<function>": f"{place}:{names['RecordUploadFunction']}",
        "<id>": "in-the-runbook",
    }


def _rule(hub: "Hub", target: str, dead_letters: str) -> str:
    """The ARN of a rule with that target and dead-letter queue."""
    events, name = client(hub.account, "events"), f"{hub.stack_name}-in-the-runbook"
    arn: str = events.put_rule(Name=name, EventPattern='{"source": ["in-the-runbook"]}')["RuleArn"]
    bound = {"Id": "queue", "Arn": target, "DeadLetterConfig": {"Arn": dead_letters}}
    events.put_targets(Rule=name, Targets=[bound])
    return arn


@pytest.fixture
def _as_in_aws(hub: "Hub", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", hub.account.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", hub.account.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", hub.account.secret_access_key)
    monkeypatch.setenv("AWS_REGION", hub.account.region)
    monkeypatch.setenv("AWS_DEFAULT_REGION", hub.account.region)


@pytest.mark.usefixtures("_as_in_aws")
@pytest.mark.parametrize(
    "command", commands(), ids=lambda command: command.removeprefix(PROGRAM).split(" --aws")[0]
)
def test_a_command_of_the_runbook_works(
    hub: "Hub", placeholders: dict[str, str], command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.startswith(PROGRAM)
    for placeholder, value in placeholders.items():
        command = command.replace(placeholder, value)
    arguments = shlex.split(
        command.removeprefix(PROGRAM).replace(f"--stack {STACK}", f"--stack {hub.stack_name}")
    )

    status = main(arguments)

    shown = capsys.readouterr()
    assert status == 0, shown.err
    assert shown.out


def test_every_command_names_the_stack_it_is_about() -> None:
    assert [one for one in commands() if not one.endswith(f" --aws --stack {STACK}")] == []
