"""The soak of the change streams: what it draws, how workers die, and what it reports."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from local.cli.output import Output
from local.soak.episodes import Soak
from local.soak.streams import fleet
from local.soak.streams.episode import Outcome
from local.soak.streams.fleet import WORKERS, MortalFleet
from local.soak.streams.weather import Settings


def test_the_same_seed_draws_the_same_weather_and_every_fault_is_in_it() -> None:
    drawn = [Settings.draw(seed) for seed in range(50)]

    assert drawn == [Settings.draw(seed) for seed in range(50)]
    assert len(set(drawn)) == 50
    assert all(0 < part < 1 for one in drawn for part in (one.deaths, one.repeat, one.late))


class _Worker:
    """A worker that only tells what happened to it."""

    told: ClassVar[Counter[str]] = Counter()

    def __init__(self, _root: Path, _settings: object) -> None:
        self.told["begun"] += 1

    def __exit__(self, *_: object) -> None:
        self.told["left"] += 1

    def kill(self) -> None:
        self.told["killed"] += 1

    def drain(self) -> None:
        self.told["drained"] += 1

    def ended(self) -> int:
        return 0


def test_workers_are_killed_and_replaced_until_they_may_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "WorkerProcess", _Worker)
    with MortalFleet(Path(), {}, "1", seconds=0.001) as mortal:
        while mortal.deaths < 5:
            pass
        mortal.calm()
        begun, deaths = _Worker.told["begun"], mortal.deaths

    assert deaths == _Worker.told["killed"]
    # each that is gone was replaced, but for those that were there in the end
    assert begun == _Worker.told["begun"] == deaths + _Worker.told["drained"]
    assert _Worker.told["left"] == _Worker.told["drained"] >= WORKERS


def test_writes_are_counted_as_writes_and_an_episode_with_problems_is_the_last() -> None:
    def live(seed: int, writes: int, _told: Callable[[str], None]) -> Outcome:
        outcome = Outcome(seed, Settings.draw(seed), changes=writes - 1)
        outcome.ends["INSERT"] = writes
        outcome.problems += ["a change was lost"] if seed == 8 else []
        return outcome

    soak = Soak[Outcome]("streams", "write", "writes", 100, live, lambda _: "", ("changes", "lost"), "write")
    document: dict[str, Any] = soak.run(Output(as_json=True), 300, seed=7)

    assert (document["writes"], document["changes"], document["problems"]) == (200, 198, 1)
    assert [episode["seed"] for episode in document["episodes"]] == [7, 8]
