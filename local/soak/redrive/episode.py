"""An episode: queues with dead letters, some redrives in bad weather, some in good, and what holds then."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import StringIO
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from common import observability
from local.soak.redrive.books import Books
from local.soak.redrive.calls import Fate, calls_watched
from local.soak.redrive.clock import Clock
from local.soak.redrive.function_posts import BusPost, FunctionPost, RulePost, StreamPost
from local.soak.redrive.mail import SOUND, Mail, Writer, takes
from local.soak.redrive.outcome import Outcome, end_of, is_good
from local.soak.redrive.places import places
from local.soak.redrive.posts import Post
from local.soak.redrive.queue_posts import OrphanPost, QueuePost
from local.soak.redrive.verdict import Findings, problems
from local.soak.redrive.weather import (
    AFTERWARDS,
    ALWAYS,
    HOUR,
    LONGEST_BAD_WEATHER,
    MINUTE,
    SETTLING,
    Settings,
    Weather,
    failing_tasks,
)
from local.soak.surroundings import overheard, short_waits
from local.sqs import moto_queues
from local.sqs.move_tasks import named_by_handle
from local.stepfunctions.errors import StepFunctionsError
from local.stepfunctions.workbench_run import Run
from local.testing.redrive_hub import DEFINITION, HANDLERS, RedriveHub
from local.testing.task_faults import answer_lost, fault

RUN_SECONDS = 120.0
HELD_SECONDS = 0.3
MOST_MAILS = 9
PLANNING = "PlanRedriveFunction"
_TRIES_BESIDE_REDRIVES = 4
_AT_WORK_EVERY_SECONDS = 0.01

_KINDS: Mapping[str, tuple[type[Post], str, str]] = {
    "standard": (QueuePost, "sqs", ""),
    "fifo": (QueuePost, "sqs", ".fifo"),
    "orphan": (OrphanPost, "sqs", ""),
    "async": (FunctionPost, "async", ""),
    "stream": (StreamPost, "stream", ""),
    "rule": (RulePost, "rule", ""),
    "bus": (BusPost, "bus", ""),
}


class Episode:
    """One hub with a queue of each kind and what goes wrong around it, all of it drawn from the seed."""

    def __init__(self, hub: RedriveHub, seed: int, outcome: Outcome, clock: Clock, books: Books) -> None:
        self._hub, self._outcome, self._clock, self._books = hub, outcome, clock, books
        self._seed = str(seed)
        self._random = Random(f"{seed}/weather")  # noqa: S311
        self._writer = Writer(Random(f"{seed}/mail"))  # noqa: S311
        self._fate = Fate(f"{seed}/fate", clock)
        self._mended = False
        self._consumers = AFTERWARDS
        self._passed = 0
        self._most = outcome.settings.max_redrives
        self._beside: list[Run] = []
        self._timers: list[threading.Timer] = []
        self._tasks = failing_tasks(DEFINITION)
        for name in HANDLERS:
            hub.bench.functions[name] = self._fate.mortal(name, hub.bench.functions[name])
        self._posts = [
            post(hub, books, clock, self._takes, name, kind, suffix)
            for name, (post, kind, suffix) in _KINDS.items()
        ]

    def live(self, runs: int, told: Callable[[str], None]) -> None:
        """Go through so many runs in bad weather, then let it clear up."""
        for post in self._posts:
            self._die(post, MOST_MAILS)
        try:
            for number in range(1, runs + 1):
                weather = Weather.draw(self._random, len(self._posts), self._tasks)
                told(f"run {number} of {runs}, consumers work {weather.consumers}")
                self._go_through(weather)
            self._clear_up()
        finally:
            self._end_the_weather()  # before the hub is closed, whatever happened

    @property
    def deaths(self) -> int:
        """How many functions died."""
        return self._fate.deaths

    def work(self) -> None:
        """What happens whenever a while has passed."""
        if self._consumers != AFTERWARDS:
            self._work()

    def findings(self, printed: str = "") -> Findings:
        """What is known of the messages now."""
        waiting = [identity for post in self._posts for identity in post.waiting()]
        locks = {post.dead.name: self._hub.lock(post.dead).get("owner") for post in self._posts}
        return Findings(
            mails=self._books.mails,
            processed=self._books.processed,
            waiting=Counter(waiting),
            deliveries=self._books.deliveries,
            letters=self._hub.quarantined(),
            most=self._most,
            told=[*places(self._hub), *(("a log", line) for line in printed.splitlines())],
            owners={queue: owner for queue, owner in locks.items() if owner},
        )

    def _go_through(self, weather: Weather) -> None:
        self._mended, self._consumers = weather.mended, weather.consumers
        self._fate.death_chance, self._fate.refusal_chance = weather.deaths, weather.refusals
        self._fate.undeleted_chance = weather.undeleted
        self._fate.looks_for = {PLANNING: weather.looks_for if weather.looks else 0.0}
        self._hub.bench.moves.numbers_follow_late = weather.numbers_late
        if weather.arrivals:
            self._die(self._random.choice(self._posts), weather.arrivals)
        self._somebody_else_moves(weather)
        self._plan_faults(weather)
        self._most = max(self._most, weather.request.get("maxRedrives", 0))
        requests = [self._request(weather)] * weather.starts + [{"dryRun": True}] * weather.looks
        runs = [self._hub.bench.start(request) for request in requests]
        if weather.stopped_after is not None:
            self._later(weather.stopped_after, lambda: _stop(runs[0]))
        beside, self._beside = self._beside, runs
        for run in beside if not weather.waited_for else [*beside, *runs]:
            self._wait(run)
        if weather.waited_for and weather.redriven:
            self._redrive(runs[0])
        self._pass(weather)

    def _request(self, weather: Weather) -> Any:
        if weather.queue is None:
            return weather.request
        post = self._posts[weather.queue]
        if weather.alarm:
            metric = {"metricStat": {"metric": {"dimensions": {"QueueName": post.dead.name}}}}
            detail = {"configuration": {"metrics": [metric]}}
            return {"detail-type": "CloudWatch Alarm State Change", "detail": detail}
        request = {"queueArn": post.dead.arn, **weather.request}
        if weather.elsewhere and isinstance(post, QueuePost):
            request["destinationArn"] = post.spare.arn
        return request

    def _somebody_else_moves(self, weather: Weather) -> None:
        if weather.foreign is None:
            return
        if weather.held:
            self._hub.bench.moves.pause()
            self._later(HELD_SECONDS, self._hub.bench.moves.resume)
        with moto_queues._lock, suppress(ClientError):  # before it has moved anything
            dead = self._posts[weather.foreign].dead
            handle = self._hub.sqs.start_message_move_task(SourceArn=dead.arn)["TaskHandle"]
            self._books.foreign_tasks.add(named_by_handle(handle)[0])

    def _plan_faults(self, weather: Weather) -> None:
        faults = self._hub.bench.call_faults
        faults.forget()
        for task in weather.tasks:
            one = fault(task.error, task.resource, faults)
            faults.plan(task.state, *[answer_lost(one) if task.lost else one] * task.times)

    def _pass(self, weather: Weather) -> None:
        """Time, in which consumers work unless they have something else to do."""
        passes = min(weather.passes, LONGEST_BAD_WEATHER - self._passed)
        self._passed += passes
        self._clock.skip(passes)
        if passes >= HOUR or weather.consumers == AFTERWARDS:
            self._work()

    def _clear_up(self) -> None:
        """No more faults, everything that runs comes to its end, and redrives in good weather."""
        self._fate.calm()
        self._hub.bench.moves.numbers_follow_late = True
        self._hub.bench.call_faults.forget()
        self._end_the_weather()
        for run in self._hub.bench.runs:
            self._wait(run)
        self._mended, self._consumers = True, SETTLING
        self._redrive_all("what was left")
        for number, post in enumerate(self._posts):
            post.kill(Mail(f"one-{1_000_000 + number}", SOUND))
        self._redrive_all("what came last")

    def _redrive_all(self, what: str) -> None:
        """Redrive until nothing waits."""
        for _ in range(self._most + _TRIES_BESIDE_REDRIVES):
            self._clock.skip(10 * MINUTE)
            self._work()
            if not any(list(post.waiting()) for post in self._posts):
                return
            run = self._hub.bench.start()
            self._wait(run)
            if not is_good(run):
                self._outcome.problems.append(
                    f"in good weather a run ended as {run.path[-1]}: {run.error}: {run.cause or run.output}"
                )
        left = Counter(identity for post in self._posts for identity in post.waiting())
        if left:
            self._outcome.problems.append(f"of {what} there still wait {dict(left)}")

    def _end_the_weather(self) -> None:
        for timer in self._timers:
            timer.join()

    def _takes(self, identity: str, times: int) -> bool:
        mail = self._books.mails.get(identity)
        return mail is None or takes(self._seed, mail, times, mended=self._mended)

    def _die(self, post: Post, most: int) -> None:
        for mail in self._writer.draw(most):
            post.kill(mail)

    def _work(self) -> None:
        for post in self._posts:
            post.work()

    def _wait(self, run: Run) -> None:
        ends_at = time.monotonic() + RUN_SECONDS
        while run.status == "RUNNING":
            if time.monotonic() > ends_at:
                self._outcome.problems.append(f"execution {run.name} goes on for minutes, in {run.path[-3:]}")
                run.stop()
            if self._consumers == ALWAYS:
                self._work()
            time.sleep(_AT_WORK_EVERY_SECONDS)

    def _redrive(self, run: Run) -> None:
        with suppress(StepFunctionsError):  # only what failed can be redriven
            run.redrive()
            self._wait(run)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        self._timers.append(timer)
        timer.start()


def live_through(seed: int, runs: int, told: Callable[[str], None]) -> Outcome:
    """Run an episode; its outcome says what did not hold."""
    settings = Settings.draw(Random(f"{seed}/settings"))  # noqa: S311
    outcome = Outcome(seed, settings)
    with overheard() as printed, short_waits(), pytest.MonkeyPatch.context() as environment:
        environment.delenv("AWS_PROFILE", raising=False)
        with RedriveHub(environment, settle_seconds=settings.settle_seconds) as hub:
            hub.configure(
                **settings.variables(), POWERTOOLS_SERVICE_NAME=f"soak-{uuid4()}"
            )  # a logger of its own
            _forget_tools()
            try:
                _live(hub, outcome, runs, told, printed)
            finally:
                _forget_tools()
    return outcome


def _live(
    hub: RedriveHub, outcome: Outcome, runs: int, told: Callable[[str], None], printed: StringIO
) -> None:
    clock = Clock(lambda: episode.work())  # noqa: PLW0108 - there is none yet
    books = Books(clock)
    with clock.in_force(hub.bench), books.kept(), calls_watched():
        episode = Episode(hub, outcome.seed, outcome, clock, books)
        episode.live(runs, told)
        found = episode.findings(printed.getvalue())
    outcome.problems += [*books.problems, *problems(found)]
    outcome.deaths = episode.deaths
    outcome.ends.update(end_of(run) for run in hub.bench.runs)
    outcome.messages = sum(mail.copies for mail in books.mails.values())
    outcome.processed = len(found.processed)
    outcome.quarantined = len(found.quarantined)


def _forget_tools() -> None:
    for tool in (observability.logger, observability.metrics):
        tool.cache_clear()


def _stop(run: Run) -> None:
    with suppress(StepFunctionsError):
        run.stop()
