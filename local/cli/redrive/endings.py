"""How a redrive ended, in words and as a table for each queue."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.cli.executions import Finished
from local.cli.operations.tables import show_table
from local.cli.output import Output

WORDS: Mapping[str, str] = {
    "Nothing To Redrive": "No queue holds a message that could be redriven.",
    "Redriven": "Everything is on its way to where it belongs.",
    "Quarantined": "Some messages wait in quarantine for a decision; the others are where they belong.",
    "Already Running": "Another redrive or move task is at work on it; nothing was done.",
    "Nothing Redriven": "Nothing could be taken: somebody else looks at it now. Redrive again in a while.",
    "Dry Run Reported": "This is what a redrive would do; nothing was touched.",
    "Returned To DLQ": "Too many are dead, again or since: mend the consumer, then redrive once more.",
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
        """What became of each queue, as far as the execution got there; those that could not be redriven as
        asked or not be looked at are among them."""
        if self.plan is not None:
            return []
        kept = [{"queue": one["name"], "outcome": "REFUSED", "cause": one["reason"]} for one in self.refused]
        unseen = [
            {"queue": one["name"], "outcome": "NOT_PLANNED", "error": one["error"], "cause": one["reason"]}
            for one in self._told.get("failed", [])
        ]
        return [*self._told.get("queues", []), *unseen, *kept]

    @property
    def plan(self) -> Mapping[str, Any] | None:
        """The plan that a redrive without work ended with."""
        return self._told if self.good and "empty" in self._told else None

    @property
    def _told(self) -> Mapping[str, Any]:
        """The output of an execution that succeeded, and what the cause of a failed one has of it."""
        found: Any = self.finished.output if self.good else _parsed(self.finished.cause)
        return found if isinstance(found, dict) else {}

    @property
    def refused(self) -> Sequence[Mapping[str, Any]]:
        """The queues that hold dead letters and cannot be redriven as asked, and the rule."""
        found: Sequence[Mapping[str, Any]] = self._told.get("refused", [])
        return found

    def document(self) -> dict[str, Any]:
        """The ending for programs."""
        failed = not self.good
        why = in_words(self.finished.cause) if failed and not self.queues else None
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
            told = (ending.finished.error, in_words(ending.finished.cause))
            output.line(f"  {': '.join(part for part in told if part)}")
    elif ending.refused:
        output.warning(f"{name}: {ending.words} What lies in queues that were refused stays there.")
    elif name in ("Quarantined", "Already Running", "Nothing Redriven"):
        output.warning(f"{name}: {ending.words}")
    else:
        output.good(f"{name}: {ending.words}")
    if ending.queues:
        show_table(output, _OUTCOME_COLUMNS, [_outcome_row(one) for one in ending.queues])
    if ending.plan is not None:
        _show_plan(ending.plan, output)


def _outcome_row(one: Mapping[str, Any]) -> list[object]:
    numbers = [one.get(name) for name in ("redriven", "quarantined", "back")]
    error, why = one.get("error", ""), in_words(one.get("cause", ""))
    if not why.startswith(error):
        why = f"{error}: {why}"
    if "execution" in one:
        why = f"see the execution {one['execution'].rpartition(':')[2]}"
    elif "taskStartedAt" in one:
        why = "a move task of somebody else runs"
    return [one.get("queue"), one.get("outcome"), *numbers, why or None]


def _show_plan(plan: Mapping[str, Any], output: Output) -> None:
    rows = [_plan_row(one) for one in plan.get("queues", [])]
    for one in plan.get("refused", []):
        rows.append([one["name"], *[None] * (len(_PLAN_COLUMNS) - 2), one["reason"]])
    for one in plan.get("failed", []):
        why = f"{one['error']}: {one['reason']}"
        rows.append([one["name"], *[None] * (len(_PLAN_COLUMNS) - 2), why])
    if rows:
        show_table(output, _PLAN_COLUMNS, rows)
    for one in plan.get("queues", []):
        if why := one.get("forecast", {}).get("whyCounted"):
            output.line(f"{one['name']} is redriven one by one. {why}")
    if plan.get("empty"):
        output.line(f"Empty: {', '.join(plan['empty'])}")


def _plan_row(one: Mapping[str, Any]) -> list[object]:
    forecast = one.get("forecast", {})
    reasons = ", ".join(f"{number} {reason}" for reason, number in forecast.get("reasons", {}).items())
    names = ("name", "kind", "mode", "waiting", "oldestSeconds")
    would = [forecast.get("wouldRedrive"), forecast.get("wouldQuarantine")]
    return [*(one.get(name) for name in names), *would, reasons or None]


def in_words(cause: str) -> str:
    """What a failure says, out of what Step Functions and Lambda have wrapped it in."""
    found = _parsed(cause)
    if not isinstance(found, dict):
        return cause
    if "errorMessage" in found:
        return str(found["errorMessage"])
    told = (str(found.get("Error", "")), in_words(str(found.get("Cause", ""))))
    return ": ".join(part for part in told if part) or cause


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
