"""What goes wrong in a run of a redrive: drawn from a seed, and written down so that one can read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86_400
_PAUSES = (0, 0, MINUTE, MINUTE, 7 * MINUTE, 7 * MINUTE, HOUR, 13 * HOUR, 2 * DAY)
LONGEST_BAD_WEATHER = 11 * DAY
"""SQS drops dead letters after 14 days, and redrives have to come in time."""

SETTLING, ALWAYS, AFTERWARDS = "while it settles", "all the time", "afterwards"

_ASKED: Sequence[dict[str, Any]] = (
    *[{}] * 8,
    *[{"mode": "counted"}] * 3,
    {"mode": "bulk"},
    {"mode": "bulk", "maxMessagesPerSecond": 100},
    {"dryRun": True},
    {"startedBy": "schedule"},
    {"queueArn": "no ARN"},
)

_LIES = ("ConditionalCheckFailed", "ExecutionDoesNotExist", "States.", "InvalidInput", "InvalidSetting")
"""Errors that say more than that a call has failed: a service that names them without cause would lie."""


@dataclass(frozen=True)
class Settings:
    """How the hub of an episode is configured."""

    max_redrives: int
    quarantine_dead_letters_after_days: int
    settle_seconds: int

    @classmethod
    def draw(cls, random: Random) -> Settings:
        """Settings under which more can go wrong than under the defaults."""
        return cls(
            max_redrives=random.randint(1, 4),
            quarantine_dead_letters_after_days=random.choice((2, 10, 10, 13)),
            settle_seconds=random.choice((30, 400)),
        )

    def variables(self) -> dict[str, str]:
        """As environment variables of the functions."""
        named = {name.upper(): str(value) for name, value in vars(self).items()}
        del named["SETTLE_SECONDS"]
        return named


@dataclass(frozen=True)
class TaskFault:
    """So many calls of a state that fail, `lost` ones after they have done their work."""

    state: str
    resource: str
    error: str
    times: int
    lost: bool


@dataclass(frozen=True)
class Weather:
    """One run: what is asked for, and what happens around it. `queue` says which dead-letter queue is meant,
    None all of them, `elsewhere` that its messages are to go to another queue than theirs, `alarm` that an
    alarm asks. `foreign` is the queue of which somebody starts a move task beforehand, which is `held` or
    not. `looks` says how many dry runs are started beside it, `looks_for` for how long plans hide then what
    they see, `numbers_late` that a move task tells late how many messages it has moved. `deaths`, `refusals`
    and `undeleted` are chances, of an invocation, a call and a deletion. Times are in seconds,
    `stopped_after` and `looks_for` in real ones, all others in those of the episode's clock."""

    request: Mapping[str, Any]
    queue: int | None
    elsewhere: bool
    alarm: bool
    starts: int
    stopped_after: float | None
    redriven: bool
    waited_for: bool
    foreign: int | None
    held: bool
    consumers: str
    mended: bool
    arrivals: int
    deaths: float
    refusals: float
    undeleted: float
    looks: int
    looks_for: float
    numbers_late: bool
    tasks: tuple[TaskFault, ...]
    passes: int

    @classmethod
    def draw(cls, random: Random, queues: int, tasks: Sequence[tuple[str, str, str]]) -> Weather:
        """A run's weather, with `queues` queues to choose from and these tasks: state, resource, error."""
        queue = random.randrange(queues) if random.random() < 0.3 else None
        request = dict(random.choice(_ASKED))
        if random.random() < 0.15 and request.get("mode") != "bulk":
            request["maxRedrives"] = random.randint(1, 5)
        return cls(
            request=request,
            queue=queue,
            elsewhere=queue is not None and random.random() < 0.3,
            alarm=queue is not None and random.random() < 0.3,
            starts=2 if random.random() < 0.2 else 1,
            stopped_after=random.uniform(0, 0.4) if random.random() < 0.25 else None,
            redriven=random.random() < 0.2,
            waited_for=random.random() < 0.8,
            foreign=random.randrange(queues) if random.random() < 0.12 else None,
            held=random.random() < 0.5,
            consumers=random.choice((SETTLING, SETTLING, ALWAYS, AFTERWARDS)),
            mended=random.random() < 0.2,
            arrivals=random.choice((0, 3, 12, 25)),
            deaths=random.choice((0.0, 0.0, 0.3, 0.7)),
            refusals=random.choice((0.0, 0.0, 0.02, 0.1)),
            undeleted=random.choice((0.0, 0.0, 0.0, 0.1, 1.0)),
            looks=random.choice((0, 0, 0, 1, 2)),
            looks_for=random.choice((0.0, 0.05, 0.2)),
            numbers_late=random.random() < 0.5,
            tasks=tuple(_task_faults(random, tasks)),
            passes=random.choice(_PAUSES),
        )


def _task_faults(random: Random, tasks: Sequence[tuple[str, str, str]]) -> Iterator[TaskFault]:
    for _ in range(random.choice((0, 0, 1, 2, 4))):
        state, resource, error = random.choice(tasks)
        times = random.choice((1, 1, 2, 5, 10))
        yield TaskFault(state, resource, error, times, lost=random.random() < 0.4)


def failing_tasks(definition: Path) -> list[tuple[str, str, str]]:
    """Every task of a state machine with each error that it may fail with: state, resource, error."""
    return sorted(_failures_of(json.loads(definition.read_text(encoding="utf-8"))))


def _failures_of(machine: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, state in machine["States"].items():
        if "ItemProcessor" in state:
            yield from _failures_of(state["ItemProcessor"])
        if state["Type"] != "Task":
            continue
        handled = (*state.get("Retry", ()), *state.get("Catch", ()))
        named = {error for one in handled for error in one["ErrorEquals"]}
        known = {error for error in named if not any(lie in error for lie in _LIES)}
        for error in (*known, "States.ALL"):
            yield name, state["Resource"], error
