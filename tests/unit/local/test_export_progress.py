"""What is shown of a run while it goes on."""

import io
from collections.abc import Callable
from typing import Any

import pytest

from local.account.state_file import RunningAccount
from local.cli import export
from local.cli.executions import Finished, StateEntered
from local.cli.ledger_progress import RangesDone
from local.cli.output import Output

ACCOUNT = RunningAccount(1, "", 1, "us-east-1", True, "", "", "key", "secret")
OUTPUTS = {"ExportStateMachineArn": "machine", "HubTableName": "table"}
# what a look at the execution finds, and what the ledger holds from then on
LOOKS = [
    ([StateEntered("Plan Ranges", 1.0)], RangesDone()),
    ([StateEntered("Process Export Files", 2.0, is_map=True)], RangesDone(1, 10)),
    ([StateEntered("Reconcile Run", 3.0), StateEntered("Export Completed", 4.0)], RangesDone(2, 25)),
]


class Ledger:
    now = RangesDone()

    def of(self, _run_id: str) -> RangesDone:
        return self.now


class Executions:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def start(self, _document: Any) -> str:
        return "machine:run"

    def transitions(self, _arn: str) -> int:
        return 4

    def follow(
        self, arn: str, entered: Callable[[StateEntered], None], waiting: Callable[[], None]
    ) -> Finished:
        for states, self._ledger.now in LOOKS:
            for state in states:
                entered(state)
            waiting()
        return Finished(arn, "SUCCEEDED", 4.0, {"status": "COMPLETED"}, "", "")


def test_what_a_map_has_done_is_shown_before_the_state_that_follows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ledger = Ledger()
    monkeypatch.setattr(export, "LedgerProgress", lambda *_: ledger)
    monkeypatch.setattr(export, "Executions", lambda *_: Executions(ledger))
    shown = io.StringIO()

    export.run_export(ACCOUNT, OUTPUTS, {}, Output(shown))

    lines = [line.split(" s  ")[-1].strip() for line in shown.getvalue().splitlines()[1:-1]]
    assert lines == [
        "Plan Ranges",
        "Process Export Files",
        "1 range, 10 resources done",
        "2 ranges, 25 resources done",
        "Reconcile Run",
        "Export Completed",
    ]


@pytest.mark.parametrize(
    ("error", "cause", "told"),
    [("", "", "The run ended ABORTED\n"), ("E", "why", "The run ended ABORTED: E: why\n")],
)
def test_a_run_that_was_stopped_without_a_word_says_so(error: str, cause: str, told: str) -> None:
    written = io.StringIO()
    export.show_run(export.Run(Finished("arn:run", "ABORTED", 1.0, {}, error, cause), 3), Output(written))
    assert written.getvalue().endswith(told)
