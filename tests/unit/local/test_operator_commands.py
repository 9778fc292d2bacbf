"""The operator's commands as they are typed and shown: which hub, which words, which width, which refusal."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ProfileNotFound

from local.account.state_file import RunningAccount
from local.cli import export as export_command
from local.cli.accounts import AwsAccount
from local.cli.errors import CommandError
from local.cli.export import ExportOptions, caller, export
from local.cli.main import NOBODY_READS, main, parser
from local.cli.operations.hub import DeployedHub
from local.cli.operations.tables import show_table
from local.cli.output import Output
from local.cli.project import Project
from local.cli.refusals import refusal

OPERATIONS = ("runs", "run", "ledger", "quarantine", "state", "resume", "variables")
OUTPUTS = {"ExportStateMachineArn": "machine", "HubTableName": "table", "DatastoreId": "store"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands forget AWS variables of their process, which is that of all tests here."""
    monkeypatch.setattr(os, "environ", dict(os.environ))


def local_account() -> RunningAccount:
    return RunningAccount(1, "", 1, "us-east-1", True, "", "", "key", "secret")


def aws_account(caller: str = "arn:aws:sts::123456789012:assumed-role/Admin/jane@example.com") -> AwsAccount:
    session: Any = type("Session", (), {"region_name": "eu-west-1"})
    return AwsAccount(session, "123456789012", caller)


@pytest.mark.parametrize("command", [*OPERATIONS, "export"])
def test_every_operators_command_chooses_a_hub_and_writes_json(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])

    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--aws", "--profile", "--region", "--stack", "--json"))


@pytest.mark.parametrize(
    "typed",
    [
        "show KEY --aws --record 2",
        "show --aws KEY --record 2",
        "--aws show KEY --record 2",
        "--record 2 --aws show KEY",
    ],
)
def test_options_may_stand_between_words(typed: str) -> None:
    options = parser().parse_args(["quarantine", *typed.split()])

    assert (options.what, options.record, options.aws) == (["show", "KEY"], 2, True)


def test_an_option_that_is_none_is_refused() -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["quarantine", "show", "--awful", "KEY"])


@pytest.mark.parametrize(
    ("typed", "what"),
    [
        (["quarantine", "show"], "does not know what to look at"),
        (["quarantine", "run", "--record", "1"], "--record belongs to"),
        (["ledger", "run", "--read"], "--read belongs to --verify"),
        (["ledger", "run", "--verify", "--range", "1"], "proves the whole run"),
        (["run", "no/run"], "no run id"),
        (["runs", "--region", "eu-west-1"], "choose a real account"),
    ],
)
def test_a_mistake_is_told_before_anything_is_asked_of_an_account(
    typed: Sequence[str], what: str, capsys: pytest.CaptureFixture[str], own_environment: None
) -> None:
    assert main(typed) == 1
    assert what in capsys.readouterr().err


def test_a_command_whose_reader_has_left_ends_quietly(own_environment: None, tmp_path: Path) -> None:
    """As under `| head`: the pipe is closed before the command writes."""
    reading, writing = os.pipe()
    os.close(reading)
    stdout = sys.stdout
    try:
        sys.stdout = os.fdopen(writing, "w")
        assert main(["status"], project=Project(tmp_path)) == NOBODY_READS
    finally:
        sys.stdout = stdout


ROWS = [["a-run", 1234, None], ["another-run", 5, "SomethingFailed"]]
COLUMNS = ("run", "lines", "error")


def test_a_table_in_a_pipe_has_a_line_for_each_row() -> None:
    shown = io.StringIO()

    show_table(Output(shown), COLUMNS, [*ROWS, ["x" * 300, 1, "y"]])

    assert [len(line.split()) for line in shown.getvalue().splitlines()] == [3, 3, 3, 3]


def test_numbers_stand_below_each_other() -> None:
    shown = io.StringIO()

    show_table(Output(shown), COLUMNS, ROWS)

    lines = shown.getvalue().splitlines()
    assert lines[1].index("1,234") + len("1,234") == lines[2].index(" 5 ") + len(" 5")


def test_a_table_too_wide_for_the_terminal_has_a_line_for_each_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "25")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = Terminal()

    show_table(Output(shown), COLUMNS, ROWS)

    assert max(map(len, shown.getvalue().splitlines())) <= 25
    assert "error  SomethingFailed" in shown.getvalue()


def test_a_table_without_rows_has_its_header() -> None:
    shown = io.StringIO()

    show_table(Output(shown), COLUMNS, [])

    assert shown.getvalue().split() == list(COLUMNS)


def _refused(code: str, message: str = "", operation: str = "ListObjectsV2") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


DENIED = (
    "User: arn:aws:iam::1:user/x is not authorized to perform: states:ListExecutions on resource: "
    "arn:aws:states:x because no identity-based policy allows it"
)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (
            _refused("AccessDeniedException", DENIED),
            "Not allowed: states:ListExecutions on arn:aws:states:x.",
        ),
        (_refused("AccessDenied", "Access Denied"), "Not allowed: s3:ListBucket."),
        (_refused("403", "Forbidden", "HeadObject"), "Not allowed: s3:GetObject."),
        (_refused("ExpiredToken"), "does not accept the credentials: ExpiredToken"),
        (_refused("ThrottlingException"), "asked too often"),
        (NoCredentialsError(), "No AWS credentials"),
        (ProfileNotFound(profile="x"), "The config profile (x) could not be found"),
    ],
)
def test_what_aws_refuses_is_told_in_words(error: Exception, what: str) -> None:
    told = refusal(error)

    assert told is not None
    assert what in told.what
    assert told.todo


@pytest.mark.parametrize(
    "error", [EndpointConnectionError(endpoint_url="x"), _refused("ValidationException")]
)
def test_what_else_fails_is_left_to_its_own_words(error: Exception) -> None:
    assert refusal(error) is None


def test_an_export_asks_for_what_its_options_say() -> None:
    options = ExportOptions(types=("Patient",), started_by="me", accept_errors=True)

    assert options.document() == {"types": ["Patient"], "startedBy": "me", "acceptErrors": True}


def test_who_starts_a_run_in_aws_is_the_callers_identity() -> None:
    assert caller(aws_account()) == "assumed-role/Admin/jane@example.com"


def test_a_name_that_the_workflow_would_refuse_is_made_one_that_it_takes() -> None:
    name = caller(aws_account("arn:aws:sts::123456789012:assumed-role/A+B=C/" + "x" * 80))

    assert name == ("assumed-role/A-B-C/" + "x" * 80)[:64]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What executions were started with."""
    documents: list[Any] = []

    class Executions:
        def __init__(self, *_of: object) -> None: ...

        def start(self, document: Any) -> str:
            documents.append(document)
            return "machine:run"

    monkeypatch.setattr(export_command, "Executions", Executions)
    return documents


FULL = ExportOptions(full=True, wait=False)


def test_a_full_export_of_a_real_account_is_not_started_unasked(
    started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    with pytest.raises(CommandError, match=r"store of AWS account 123456789012 in eu-west-1.* confirm"):
        export(DeployedHub(aws_account(), "hub", OUTPUTS), Output(io.StringIO()), FULL)

    assert started == []


@pytest.mark.parametrize("answer", ["y\n", "yes\n", "Y\n"])
def test_a_full_export_of_a_real_account_starts_once_it_is_confirmed(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))

    export(DeployedHub(aws_account(), "hub", OUTPUTS), Output(io.StringIO()), FULL)

    assert len(started) == 1


@pytest.mark.parametrize("answer", ["\n", "no\n", ""])
def test_a_full_export_of_a_real_account_does_not_start_when_it_is_declined(
    started: list[Any], monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))

    with pytest.raises(CommandError, match="Nothing was started"):
        export(DeployedHub(aws_account(), "hub", OUTPUTS), Output(io.StringIO()), FULL)

    assert started == []


@pytest.mark.parametrize(
    ("hub", "options"),
    [
        (DeployedHub(local_account(), "hub", OUTPUTS), FULL),
        (DeployedHub(aws_account(), "hub", OUTPUTS), ExportOptions(full=True, wait=False, confirmed=True)),
        (DeployedHub(aws_account(), "hub", OUTPUTS), ExportOptions(wait=False)),
    ],
    ids=["the local account", "confirmed before", "what has changed"],
)
def test_other_exports_start_without_a_question(
    started: list[Any], hub: DeployedHub, options: ExportOptions
) -> None:
    assert export(hub, Output(io.StringIO()), options) == 0
    assert len(started) == 1
