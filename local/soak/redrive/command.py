"""Hundreds of redrives with faults drawn at random, some on each of several hubs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from local.cli.output import Output, counted
from local.soak.redrive.episode import live_through
from local.soak.redrive.outcome import Outcome

RUNS_OF_AN_EPISODE = 10


def soak(output: Output, runs: int, seed: int) -> list[Outcome]:
    """So many redrives, from a seed that is shown; ends after the first episode that finds something."""
    output.line(f"{counted(runs, 'redrive')} with faults drawn at random from SEED={seed}")
    outcomes: list[Outcome] = []
    for number, first in enumerate(range(0, runs, RUNS_OF_AN_EPISODE)):
        outcome = _episode(output, seed + number, min(RUNS_OF_AN_EPISODE, runs - first), first, runs)
        outcomes.append(outcome)
        if outcome.problems:
            break
    return outcomes


def report(outcomes: Sequence[Outcome], runs: int, output: Output) -> dict[str, Any]:
    """Show what came of it and return it as a document."""
    ends: Counter[str] = sum((outcome.ends for outcome in outcomes), Counter())
    output.table("How redrives ended", ["end", "executions"], [(end, n) for end, n in ends.most_common()])
    bad = [outcome for outcome in outcomes if outcome.problems]
    for outcome in bad:
        for problem in outcome.problems:
            output.bad(problem)
        output.line(f"Again: make soak PART=redrive SEED={outcome.seed} RUNS={min(runs, RUNS_OF_AN_EPISODE)}")
    totals = {
        "executions": ends.total(),
        "deaths": sum(outcome.deaths for outcome in outcomes),
        "messages": sum(outcome.messages for outcome in outcomes),
        "quarantined": sum(outcome.quarantined for outcome in outcomes),
    }
    output.fields(totals)
    documents = [{**asdict(outcome), "ends": dict(outcome.ends)} for outcome in outcomes]
    return {"runs": runs, **totals, "problems": len(bad), "episodes": documents}


def _episode(output: Output, seed: int, runs: int, first: int, of: int) -> Outcome:
    with output.step(f"Redrives {first + 1} to {first + runs} of {of} (seed {seed})") as step:
        outcome = live_through(seed, runs, step.progress)
        step.failed = bool(outcome.problems)
        settings = ", ".join(f"{name} {value}" for name, value in vars(outcome.settings).items())
        step.result = (
            f"{counted(outcome.ends.total(), 'execution')}, {counted(outcome.deaths, 'death')}, "
            f"{counted(outcome.messages, 'message')}, {outcome.quarantined} in quarantine; {settings}"
        )
    return outcome
