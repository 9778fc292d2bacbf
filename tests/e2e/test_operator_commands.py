"""The operator's commands on the deployed stack, as the local account and as «a real one», which here is the
same account reached by a plain AWS environment."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.account.clients import client
from local.account.lifecycle import REPOSITORY
from local.cli.export import Run, run_export
from local.cli.load import load_files
from local.cli.main import main
from local.cli.ndjson_files import ndjson_files
from local.cli.output import Output
from local.cli.project import Project
from local.cli.sam import account_variables
from local.sample_data.generator import write_sample
from local.testing.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

PATIENT = "patient-0001"
REPLAY = {"types": ["Patient"], "startedBy": "e2e"}


@dataclass(frozen=True)
class _ProjectOfAccount(Project):
    """The project's folder, with the account of the tests as the one that `up` has started."""

    state_dir: Path = Path()

    @property
    def account_dir(self) -> Path:
        return self.state_dir


@dataclass(frozen=True)
class Operated:
    """Runs to look at: a replay with one export error, and one whose export job failed."""

    completed: Run
    failed: Run


Answer = tuple[int, Any, str]
Command = Callable[..., Answer]


@pytest.fixture(scope="module")
def operated(hub: "Hub", tmp_path_factory: pytest.TempPathFactory) -> Operated:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, patients=2)
    patients = [path for path in ndjson_files([folder]) if "Patient" in path.name]
    load_files(hub.account, hub.outputs["DatastoreEndpoint"], patients, Output())
    _fault(hub, {"fault": "errors-in-next-job", "resources": [{"resourceType": "Patient", "id": PATIENT}]})
    completed = run_export(hub.account, hub.outputs, REPLAY, Output())
    _fault(hub, {"fault": "fail-next-job"})
    failed = run_export(hub.account, hub.outputs, REPLAY, Output())
    return Operated(completed, failed)


def _fault(hub: "Hub", order: Mapping[str, Any]) -> None:
    url = f"{hub.account.endpoint}/_local/healthlake/faults"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(order).encode(), method="POST")).close()


@pytest.fixture
def aws(hub: "Hub", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command on «a real account»; returns exit status, JSON document and what it said on stderr."""
    _enter(hub, monkeypatch)
    return lambda *words: _run(capsys, [*words, "--aws"], Project())


@pytest.fixture
def here(hub: "Hub", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command on the local account."""
    monkeypatch.setattr(os, "environ", dict(os.environ))
    project = _ProjectOfAccount(state_dir=Path(hub.account.state_dir))
    return lambda *words: _run(capsys, list(words), project)


def _enter(hub: "Hub", monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in (account_variables(hub.account) | variables).items():
        monkeypatch.setenv(name, value)


def _run(capsys: pytest.CaptureFixture[str], words: list[str], project: Project) -> Answer:
    capsys.readouterr()
    status = main([*words, "--json"], project=project)
    told = capsys.readouterr()
    return status, json.loads(told.out), told.err


def test_runs_are_told_with_who_started_them_and_how_they_ended(aws: Command, operated: Operated) -> None:
    status, document, _ = aws("runs", "--limit", "50")

    runs = {one["runId"]: one for one in document["runs"]}
    completed = runs[operated.completed.finished.run_id]
    failed = runs[operated.failed.finished.run_id]
    assert status == 0
    assert (completed["status"], completed["startedBy"], completed["mode"]) == ("COMPLETED", "e2e", "replay")
    assert completed["exportErrors"] == 1
    assert (failed["status"], failed["error"]) == ("FAILED", "ExportFailed")


def test_failed_runs_are_told_alone(aws: Command, operated: Operated) -> None:
    _, document, _ = aws("runs", "--failed")

    ids = [one["runId"] for one in document["runs"]]
    assert operated.failed.finished.run_id in ids
    assert operated.completed.finished.run_id not in ids


def test_the_local_account_and_a_real_one_are_told_apart_and_tell_the_same(
    aws: Command, here: Command, operated: Operated
) -> None:
    run_id = operated.completed.finished.run_id

    _, theirs, _ = aws("run", run_id)
    _, ours, _ = here("run", run_id)

    assert theirs["run"] == ours["run"]
    assert (theirs["hub"]["local"], ours["hub"]["local"]) == (False, True)
    assert theirs["hub"]["stack"] == ours["hub"]["stack"]


def test_a_failed_run_tells_its_state_in_words(aws: Command, operated: Operated) -> None:
    _, document, _ = aws("run", operated.failed.finished.arn)

    assert document["run"]["failedState"]["state"] == "Wait For Export"
    assert "as FAILED" in document["run"]["failedState"]["cause"]


def test_a_completed_run_is_proven_again_from_what_it_left(aws: Command, operated: Operated) -> None:
    status, document, _ = aws("ledger", operated.completed.finished.run_id, "--verify", "--read")

    assert (status, document["holds"]) == (0, True)
    assert [one["check"] for one in document["checks"]][-2:] == ["quarantine", "lake"]


def test_a_failed_run_is_not_proven(aws: Command, operated: Operated) -> None:
    status, document, _ = aws("ledger", operated.failed.finished.run_id, "--verify")

    assert (status, document["holds"]) == (1, False)


def test_a_quarantined_record_tells_its_content_only_on_request(aws: Command, operated: Operated) -> None:
    _, listed, _ = aws("quarantine", operated.completed.finished.run_id)
    record = listed["records"][0]
    _, shown, warning = aws("quarantine", "show", record["key"], "--record", str(record["record"]))

    assert record["reason"] == "EXPORT_ERROR"
    assert PATIENT not in json.dumps(listed)
    assert PATIENT in shown["records"][0]["line"]
    assert "PHI" in warning


@pytest.fixture
def running(hub: "Hub", operated: Operated) -> Iterator[str]:
    """A run whose export job goes on."""
    with hub.held_export() as release:
        arn = hub.executions.start(REPLAY)
        yield arn.rpartition(":")[2]
        release()
        hub.executions.follow(arn, lambda _state: None, lambda: None)


def test_the_state_tells_who_holds_the_lock_and_that_it_is_alive(aws: Command, running: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (state := aws("state")[1]["state"])["phase"] != "EXPORTING" and time.monotonic() < deadline:
        time.sleep(0.2)

    assert (state["runId"], state["ownerStatus"], state["phase"]) == (running, "RUNNING", "EXPORTING")
    assert state["jobId"]


@pytest.fixture
def paused(hub: "Hub") -> None:
    client(hub.account, "dynamodb").update_item(
        TableName=hub.outputs["HubTableName"],
        Key={"pk": {"S": f"DATASTORE#{hub.outputs['DatastoreId']}"}, "sk": {"S": "STATE"}},
        UpdateExpression="SET holds = :three, pausedAt = :at",
        ExpressionAttributeValues={":three": {"N": "3"}, ":at": {"S": "2026-03-01T12:00:00.000Z"}},
    )


def test_resume_ends_a_pause_in_which_the_schedule_is_turned_away(
    hub: "Hub", aws: Command, paused: None
) -> None:
    turned_away = run_export(hub.account, hub.outputs, {"startedBy": "schedule"}, Output())
    _, shown, _ = aws("run", turned_away.finished.run_id)
    first, again = aws("resume")[1], aws("resume")[1]

    assert shown["run"]["status"] == "PAUSED"
    assert (first["resumed"], first["holds"], again["resumed"]) == (True, 3, False)


def test_an_export_of_a_real_account_is_followed_to_its_end(aws: Command, operated: Operated) -> None:
    status, document, _ = aws("export", "--types", "Patient", "--started-by", "somebody")

    assert (status, document["status"]) == (0, "COMPLETED")
    assert aws("run", document["runId"])[1]["run"]["startedBy"] == "somebody"


@pytest.fixture
def visitor(hub: "Hub") -> Mapping[str, str]:
    """Credentials of a user who may only look at stacks."""
    iam = client(hub.account, "iam")
    iam.create_user(UserName="visitor")
    allowed = {"Effect": "Allow", "Action": ["cloudformation:*", "sts:*"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="visitor", PolicyName="policy", PolicyDocument=policy)
    key = iam.create_access_key(UserName="visitor")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def test_a_missing_permission_is_told_by_its_action(
    hub: "Hub",
    visitor: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _enter(hub, monkeypatch, **visitor)
    actions = {
        ("runs",): "states:ListExecutions",
        ("ledger", "run"): "dynamodb:Query",
        ("quarantine",): "s3:ListBucket",
        ("state",): "dynamodb:GetItem",
        ("export",): "states:StartExecution",
    }

    for words, action in actions.items():
        status, document, told = _run(capsys, [*words, "--aws"], Project())
        assert (status, f"Not allowed: {action}" in told) == (1, True), told
        assert "Traceback" not in told
        assert list(document) == ["error"]


def test_a_stack_that_is_not_there_is_told_with_where_it_was_looked_for(hub: "Hub", aws: Command) -> None:
    status, _, told = aws("runs", "--stack", "another")

    assert status == 1
    assert (
        f"another is not deployed in AWS account 000000000000 in us-east-1 at {hub.account.endpoint}" in told
    )


def test_variables_of_functions_are_told_as_sam_takes_them(aws: Command, hub: "Hub") -> None:
    status, variables, told = aws("variables")

    assert status == 0
    assert variables["ProcessRangeFunction"]["HUB_TABLE"] == hub.outputs["HubTableName"]
    assert hub.stack_name in told


def test_the_commands_find_the_applications_code_by_themselves(hub: "Hub", operated: Operated) -> None:
    """In a process of their own, where no test has made it importable."""
    command = [sys.executable, "-m", "local", "run", operated.completed.finished.run_id, "--aws"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    options = {"cwd": REPOSITORY, "env": environment | account_variables(hub.account)}

    shown = subprocess.run(command, **options, capture_output=True, text=True, check=True)  # type: ignore[call-overload]

    assert "adds up" in shown.stdout
    assert "\x1b" not in shown.stdout
