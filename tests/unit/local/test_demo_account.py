"""The demo's own account is stopped whatever is sent to the demo."""

import os
from pathlib import Path

import pytest

from local.account import lifecycle, signals
from local.cli.project import Project
from local.demo.command import _own_account


def test_signals_that_come_while_the_account_stops_do_not_leave_it_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = []

    def stop(state_dir: Path) -> bool:
        if state_dir.exists():
            for number in signals.ENDING:
                os.kill(os.getpid(), number)
            stopped.append(state_dir)
        return True

    def work() -> None:
        with _own_account(project) as state_dir:
            state_dir.mkdir(parents=True)
            raise KeyboardInterrupt

    monkeypatch.setattr(lifecycle, "stop", stop)
    project = Project(tmp_path)
    with pytest.raises(KeyboardInterrupt), signals.interrupting():
        work()

    assert stopped == [project.demo_dir]
