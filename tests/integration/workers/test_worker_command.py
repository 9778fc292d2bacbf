"""`python -m local worker` as a user runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.account import lifecycle
from local.cli import stack
from local.cli.main import main
from local.cli.output import Output
from local.workers.command import show

if TYPE_CHECKING:
    from tests.integration.workers.conftest import JobsAccount


@pytest.fixture
def deployed(account: JobsAccount, monkeypatch: pytest.MonkeyPatch) -> JobsAccount:
    outputs = {"JobsQueueUrl": account.queue_url, "JobsTableName": account.name}
    monkeypatch.setattr(lifecycle, "find", lambda _folder: account.running)
    monkeypatch.setattr(stack, "outputs", lambda _account, _stack: outputs)
    return account


def test_the_command_works_on_what_waits_and_tells_each_job(
    deployed: JobsAccount, capsys: pytest.CaptureFixture[str]
) -> None:
    job = deployed.submit("uploads/clinic/1.ndjson")

    assert main(["worker", "--until-empty"]) == 0

    shown = capsys.readouterr().out
    assert f"✓ upload-arrived {job.removeprefix('JOB#')}: DONE in " in shown
    assert "The worker has ended after 1 job." in shown
    assert "_aws" not in shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            {"outcome": "FAILED", "job": "ab", "rule": "upload-arrived", "seconds": 1},
            "✗ upload-arrived ab: FAILED",
        ),
        (
            {"level": "WARNING", "message": "The queue cannot be read.", "code": "Throttled"},
            "read. Throttled",
        ),
        ({"_aws": {}, "JobsDone": 1}, ""),
    ],
)
def test_a_line_of_the_log_is_shown_for_people(
    line: dict[str, object], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(Output(), line)
    told = capsys.readouterr().out
    assert shown in told
    assert bool(told) == bool(shown)


def test_without_an_account_the_command_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lifecycle, "find", lambda _folder: None)
    assert main(["worker"]) == 1
    assert "make up" in capsys.readouterr().err
