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
from local.cli.main import main

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

RUNBOOK = Path(__file__).parents[2] / "docs" / "runbook.md"
PROGRAM = ".venv/bin/python -m local "
STACK = "healthlake-hub"


def commands() -> list[str]:
    """The lines of every fenced block, each once."""
    text = RUNBOOK.read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return list(dict.fromkeys(line for block in blocks for line in block.splitlines()))


@pytest.fixture(scope="module")
def placeholders(hub: "Hub") -> dict[str, str]:
    """What stands in angle brackets: a run with a resource in quarantine, and where that lies."""
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
    return {"<run id>": run.run_id, "<key>": listing["Contents"][0]["Key"], **window}


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
