"""An episode: one hub, some runs in bad weather, one run in good weather, and what holds then."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest

from local.soak.episodes import Outcome as EpisodeOutcome
from local.soak.faults.disorder import Disorder, moody_bus, time_passing
from local.soak.faults.mortal import Mortality, calls_watched
from local.soak.faults.verdict import problems
from local.soak.faults.weather import Settings, Weather
from local.soak.faults.writer import Name, Writer
from local.soak.surroundings import quietly, short_waits
from local.stepfunctions.errors import StepFunctionsError
from local.stepfunctions.workbench_run import Run
from local.testing.export_hub import DEFINITION, ExportHub
from local.testing.refusing_bus import bus_refusing

DEATHS, DISORDER, REFUSALS = 0.25, 0.3, 0.08
HEARTBEAT_SECONDS = 20
"""Instead of an hour. A redriven execution whose clean-up was under way ends by it; no other may."""
RUN_SECONDS = 120.0
SETTLE_SECONDS = 180.0


@dataclass
class Outcome(EpisodeOutcome):
    """What became of an episode, and what it published."""

    settings: Settings
    events: int = 0
    versions: int = 0


class Episode:
    """One hub and what goes wrong around it, all of it drawn from the seed."""

    def __init__(self, hub: ExportHub, seed: int, outcome: Outcome) -> None:
        self._hub = hub
        self._random = Random(seed)  # noqa: S311
        self._outcome = outcome
        self._writer = Writer(hub, f"{seed}/writer")
        self._mortality = Mortality(f"{seed}", DEATHS)
        self._disorder = Disorder(f"{seed}/queues", DISORDER)
        self._refusals = REFUSALS
        self._touched: set[Name] = set()
        self._redriven: set[str] = set()
        self._timers: list[threading.Timer] = []
        self._beside: list[Run] = []
        self.refuse = moody_bus(f"{seed}/bus", lambda: self._refusals)
        self._make_mortal()

    def live(self, runs: int, told: Callable[[str], None]) -> None:
        """Go through so many runs in bad weather, then let it clear up and judge."""
        for _ in range(4):
            self._writer.write(self._writer.draw())
        try:
            with time_passing(self._hub, self._mortality):
                for number in range(1, runs + 1):
                    weather = Weather.draw(self._random, only_changes=number > runs // 3)
                    told(f"run {number} of {runs}, HealthLake {weather.healthlake}")
                    self._go_through(weather)
                self._clear_up()
        finally:
            self._end_the_weather()  # before the hub is closed, whatever happened
        self._outcome.ends.update(self._end_of(run) for run in self._hub.bench.runs)
        self._outcome.deaths = self._mortality.deaths
        self._outcome.events = len(self._hub.resource_events())
        self._outcome.versions = sum(map(len, self._writer.versions.values()))

    def _go_through(self, weather: Weather) -> None:
        resource = self._writer.known()
        if weather.healthlake == "reports errors":
            self._touched.add(resource)
        weather.break_healthlake(self._hub.healthlake.faults, self._random, resource)
        self._writer.write_beside(weather.writes, threading.Event())
        runs = [self._hub.bench.start(weather.request) for _ in range(weather.starts)]
        if weather.stopped_after is not None:
            self._later(weather.stopped_after, lambda: _stop(runs[0]))
        beside, self._beside = self._beside, []
        for run in beside:
            self._wait(run)
        if not weather.waited_for:
            self._beside = runs
            return
        for run in runs:
            self._wait(run)
        if weather.redriven:
            self._redrive(runs[0])

    def _clear_up(self) -> None:
        """No more faults, everything that runs comes to its end, and a run in good weather."""
        self._mortality.chance = self._refusals = 0.0
        self._hub.healthlake.faults.clear()
        self._end_the_weather()
        for run in self._hub.bench.runs:
            self._wait(run)
        for name in sorted(self._touched):  # with «advance» what HealthLake could not export is quarantined
            self._writer.write(name)
        last = self._hub.bench.start({})
        self._wait(last)
        if last.status != "SUCCEEDED" or last.output.get("status") != "COMPLETED":
            self._outcome.problems.append(f"the last run ended as {last.status}: {last.error}: {last.cause}")
        for run in self._hub.bench.runs:
            if run.error == "HeartbeatTimeout" and run.name not in self._redriven:
                self._outcome.problems.append(f"nobody looked after the export of run {run.name}")
        self._settle()

    def _end_the_weather(self) -> None:
        """Wait for what was to happen later and beside."""
        for timer in self._timers:
            timer.join()
        self._writer.wait()
        self._disorder.end()

    def _settle(self) -> None:
        """Rules deliver a moment after the fact; what holds for good is judged."""
        ends_at = time.monotonic() + SETTLE_SECONDS / 60
        while found := problems(self._hub, self._writer.versions):
            if time.monotonic() > ends_at:
                self._outcome.problems += found
                return
            time.sleep(0.2)

    def _wait(self, run: Run) -> None:
        with suppress(TimeoutError):
            run.wait(RUN_SECONDS)
            return
        self._outcome.problems.append(f"execution {run.name} goes on for minutes, in {run.path[-3:]}")
        run.stop()

    def _redrive(self, run: Run) -> None:
        with suppress(StepFunctionsError):  # only what failed can be redriven
            run.redrive()
            self._redriven.add(run.name)
            self._wait(run)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        self._timers.append(timer)
        timer.start()

    def _make_mortal(self) -> None:
        functions = self._hub.bench.functions
        for name, handler in list(functions.items()):
            mortal = self._mortality.mortal(name, handler)
            queued = name in ("StartExportFunction", "CheckExportFunction")
            functions[name] = self._disorder.of(mortal) if queued else mortal

    @staticmethod
    def _end_of(run: Run) -> str:
        if run.status == "SUCCEEDED":
            return str((run.output or {}).get("status", run.path[-1]))
        return f"{run.status} {run.error}" if run.error else run.status


def live_through(seed: int, runs: int, told: Callable[[str], None]) -> Outcome:
    """Run an episode; its outcome says what did not hold."""
    outcome = Outcome(seed, Settings.draw(Random(f"{seed}/settings")))  # noqa: S311
    with quietly(), _impatient() as definition, pytest.MonkeyPatch.context() as environment:
        environment.delenv("AWS_PROFILE", raising=False)
        with ExportHub(environment, definition) as hub:
            hub.configure(**outcome.settings.variables())
            episode = Episode(hub, seed, outcome)
            with bus_refusing(episode.refuse), calls_watched(), short_waits():
                episode.live(runs, told)
    return outcome


@contextmanager
def _impatient() -> Iterator[Path]:
    """The state machine's file with a heartbeat that is missed after seconds."""
    text = DEFINITION.read_text(encoding="utf-8")
    shorter = re.sub(r'"HeartbeatSeconds": \d+', f'"HeartbeatSeconds": {HEARTBEAT_SECONDS}', text)
    with TemporaryDirectory(prefix="soak-") as folder:
        definition = Path(folder) / DEFINITION.name
        definition.write_text(shorter, encoding="utf-8")
        yield definition


def _stop(run: Run) -> None:
    with suppress(StepFunctionsError):
        run.stop()
