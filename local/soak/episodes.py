"""Hundreds of executions in episodes, each drawn from a seed of its own: lived through, and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

from local.cli.output import Output, counted


@dataclass
class Outcome:
    """What became of an episode: how its executions ended, how many functions died, and what is wrong."""

    seed: int
    settings: Any
    ends: Counter[str] = field(default_factory=Counter)
    deaths: int = 0
    problems: list[str] = field(default_factory=list)


Ended = TypeVar("Ended", bound=Outcome)


@dataclass(frozen=True)
class Soak(Generic[Ended]):
    """What `make soak PART=<part>` lives through: so many of `what` in an episode, which `live` draws from a
    seed and tells the progress of. `ends` are what a table calls those that ended, and each is an `ended`; of
    an outcome `told` says the numbers in words, and `numbers` are the names of those that are added up."""

    part: str
    what: str
    ends: str
    runs_of_an_episode: int
    live: Callable[[int, int, Callable[[str], None]], Ended]
    told: Callable[[Ended], str]
    numbers: Sequence[str]
    ended: str = "execution"

    def run(self, output: Output, runs: int, seed: int) -> dict[str, Any]:
        """So many, from a seed that is shown, as far as the first episode that finds something wrong; shows
        what came of them and returns it as a document."""
        output.line(f"{counted(runs, self.what)} with faults drawn at random from SEED={seed}")
        outcomes: list[Ended] = []
        for number, first in enumerate(range(0, runs, self.runs_of_an_episode)):
            outcomes.append(self._episode(output, seed + number, first, runs))
            if outcomes[-1].problems:
                break
        return self._report(outcomes, runs, output)

    def _episode(self, output: Output, seed: int, first: int, of: int) -> Ended:
        runs = min(self.runs_of_an_episode, of - first)
        name = f"{self.what.capitalize()}s {first + 1} to {first + runs} of {of} (seed {seed})"
        with output.step(name) as step:
            outcome = self.live(seed, runs, step.progress)
            step.failed = bool(outcome.problems)
            settings = ", ".join(f"{name} {value}" for name, value in vars(outcome.settings).items())
            step.result = (
                f"{counted(outcome.ends.total(), self.ended)}, {counted(outcome.deaths, 'death')}, "
                f"{self.told(outcome)}; {settings}"
            )
        return outcome

    def _report(self, outcomes: Sequence[Ended], runs: int, output: Output) -> dict[str, Any]:
        ends: Counter[str] = sum((outcome.ends for outcome in outcomes), Counter())
        output.table(
            f"How {self.ends} ended", ["end", f"{self.ended}s"], [(end, n) for end, n in ends.most_common()]
        )
        bad = [outcome for outcome in outcomes if outcome.problems]
        again = min(runs, self.runs_of_an_episode)
        for outcome in bad:
            for problem in outcome.problems:
                output.bad(problem)
            output.line(f"Again: make soak PART={self.part} SEED={outcome.seed} RUNS={again}")
        totals = {f"{self.ended}s": ends.total()}
        totals |= {name: sum(getattr(outcome, name) for outcome in outcomes) for name in self.numbers}
        output.fields(totals)
        documents = [{**asdict(outcome), "ends": dict(outcome.ends)} for outcome in outcomes]
        return {"runs": runs, **totals, "problems": len(bad), "episodes": documents}
