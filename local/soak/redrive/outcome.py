"""What came of an episode, and which ends of a redrive are good ones when nothing fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from local.soak.episodes import Outcome as EpisodeOutcome
from local.soak.redrive.weather import Settings
from local.stepfunctions.workbench_run import Run

_GOOD = ("Redriven", "Quarantined", "Returned To DLQ", "Nothing To Redrive")


@dataclass
class Outcome(EpisodeOutcome):
    """What became of an episode, and of its messages."""

    settings: Settings
    messages: int = 0
    processed: int = 0
    quarantined: int = 0


def end_of(run: Run) -> str:
    """How an execution ended: its last state, or that it was stopped."""
    return run.status if run.status == "ABORTED" else run.path[-1]


def is_good(run: Run) -> bool:
    """Whether a run in good weather has ended as it may. What a stream's function fails on makes it fail."""
    if run.path[-1] != "Redrive Failed":
        return run.path[-1] in _GOOD
    told = json.loads(run.cause or "{}")
    failed = [one for one in told["queues"] if one["outcome"] == "FAILED"]
    return not told["failed"] and all(map(_was_refused, failed))


def _was_refused(failed: Mapping[str, str]) -> bool:
    """Whether nothing has failed in a queue but the function that its messages are for."""
    if failed["error"] == "MessagesLeft":
        return set(json.loads(failed["cause"])) == {"TargetRefused"}
    return failed["error"] == "TargetRefused"
