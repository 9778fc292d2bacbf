"""`up` beside an account that runs already."""

import io
from pathlib import Path

import pytest

from local.account import lifecycle
from local.account.state_file import RunningAccount
from local.cli.output import Output
from local.cli.up import UpOptions, _started


@pytest.mark.parametrize(
    ("enforcing", "asked", "told"),
    [
        (True, True, ""),
        (False, False, ""),
        (True, False, "It goes on enforcing IAM policies"),
        (False, True, "It goes on without enforcing IAM policies"),
    ],
)
def test_an_account_that_goes_on_otherwise_than_asked_says_so_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enforcing: bool, asked: bool, told: str
) -> None:
    account = RunningAccount(1, "", 4566, "us-east-1", enforcing, "", "", "key", "secret")
    monkeypatch.setattr(lifecycle, "find", lambda _state_dir: account)
    monkeypatch.setattr(lifecycle, "answers", lambda _account: True)
    shown = io.StringIO()

    assert _started(tmp_path, Output(shown), UpOptions(auth=asked)) is account

    _, _, rest = shown.getvalue().partition("\n")
    assert rest.startswith(f"! {told}" if told else "")
    assert ("make down" in rest) is bool(told)
