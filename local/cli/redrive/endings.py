"""How a redrive ended, in words and as a table for each queue."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.cli.executions import Finished
from local.cli.operations.tables import show_table
from local.cli.output import Output

WORDS: Mapping[str, str] = {
    "Nothing To Redrive": "No queue holds a dead letter.",
    "Redriven": "Everything is on its way to where it belongs.",
    "Quarantined": "Some messages wait in quarantine for a decision; the others are where they belong.",
    "Already Running": "Another redrive or move task is at work on it; nothing was done.",
    "Dry Run Reported": "This is what a redrive would do; nothing was touched.",
    "Returned To DLQ": "Messages died again: the consumer is not mended. Mend it, then redrive once more.",
    "Redrive Refused": "The redrive was refused; nothing was touched.",
    "Redrive Not Planned": "The redrive could not be planned; nothing was touched.",
    "Redrive Failed": "A queue could not be redriven. Every message is where it was, or where it belongs.",
    "Redrive Stopped": "The redrive stopped. Each message is where it was or belongs, or in quarantine.",
}
"""Every state that an execution ends in, and what that means."""

_FAILED = "The redrive ended early. Each message is where it was or belongs, or in quarantine."
_OUTCOME_COLUMNS = ("queue", "outcome", "redriven", "quarantined", "back", "error")
_PLAN_COLUMNS = ("queue", "kind", "mode", "waiting", "oldest s", "would redrive", "would quarantine", "why")


@dataclass(frozen=True)
class Ending:
    """A redrive that has ended: the state that it ended in, None where it was stopped before one."""

    finished: Finished
    state: str | None

    @property
    def good(self) -> bool:
        return self.finished.status == "SUCCEEDED"

    @property
    def words(self) -> str:
        """What the ending means."""
        return WORDS.get(self.state or "", _FAILED)

    @property
    def queues(self) -> Sequence[Mapping[str, Any]]:
        """What became of each queue, as far as the execution got there."""
        found: Any = self.finished.output if self.good else _parsed(self.finished.cause)
        return found if isinstance(found, list) else []

    @property
    def plan(self) -> Mapping[str, Any] | None:
        """The plan that a redrive without work ended with."""
        return self.finished.output if self.good and isinstance(self.finished.output, dict) else None

    def document(self) -> dict[str, Any]:
        """The ending for programs."""
        failed = not self.good
        why = self.finished.cause if failed and not self.queues else None
        return {
            "execution": self.finished.arn,
            "status": self.finished.status,
            "ending": self.state,
            "seconds": round(self.finished.seconds, 1),
            "queues": list(self.queues),
            **({"plan": self.plan} if self.plan is not None else {}),
            **({"error": self.finished.error or self.finished.status} if failed else {}),
            **({"cause": why} if why else {}),
        }


def show_ending(ending: Ending, output: Output) -> None:
    """Say how a redrive ended, and show what became of each queue."""
    name = ending.state or ending.finished.status
    if not ending.good:
        output.bad(f"{name}: {ending.words}")
        if not ending.queues:
            told = (ending.finished.error, ending.finished.cause)
            output.line(f"  {': '.join(part for part in told if part)}")
    elif name in ("Quarantined", "Already Running"):
        output.warning(f"{name}: {ending.words}")
    else:
        output.good(f"{name}: {ending.words}")
    if ending.queues:
        show_table(output, _OUTCOME_COLUMNS, [_outcome_row(one) for one in ending.queues])
    if ending.plan is not None:
        _show_plan(ending.plan, output)


def _outcome_row(one: Mapping[str, Any]) -> list[object]:
    numbers = [one.get(name) for name in ("redriven", "quarantined", "back")]
    why = ": ".join(str(one[name]) for name in ("error", "cause") if one.get(name))
    if "execution" in one:
        why = f"see the execution {one['execution'].rpartition(':')[2]}"
    elif "taskStartedAt" in one:
        why = "a move task of somebody else runs"
    return [one.get("queue"), one.get("outcome"), *numbers, why or None]


def _show_plan(plan: Mapping[str, Any], output: Output) -> None:
    rows = [_plan_row(one) for one in plan.get("queues", [])]
    for one in plan.get("refused", []):
        rows.append([one["name"], *[None] * (len(_PLAN_COLUMNS) - 2), one["reason"]])
    if rows:
        show_table(output, _PLAN_COLUMNS, rows)
    if plan.get("empty"):
        output.line(f"Empty: {', '.join(plan['empty'])}")


def _plan_row(one: Mapping[str, Any]) -> list[object]:
    forecast = one.get("forecast", {})
    reasons = ", ".join(f"{number} {reason}" for reason, number in forecast.get("reasons", {}).items())
    names = ("name", "kind", "mode", "waiting", "oldestSeconds")
    would = [forecast.get("wouldRedrive"), forecast.get("wouldQuarantine")]
    return [*(one.get(name) for name in names), *would, reasons or None]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
