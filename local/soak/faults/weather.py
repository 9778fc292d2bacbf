"""What goes wrong in a run: drawn from a seed, and written down so that one can read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from local.healthlake.faults import FailedResource, Faults

START, DESCRIBE = "StartFHIRExportJobWithPost", "DescribeFHIRExportJobWithGet"
CANCEL, FIND = "CancelFHIRExportJobWithDelete", "ListFHIRExportJobs"

SOUND = "is sound"
_HEALTHLAKE = (
    *[SOUND] * 3,
    "throttles the start",
    "throttles looks",
    "is down",
    "fails the job",
    "reports errors",
    "is slow",
    "loses events",
    "cannot cancel",
    "refuses the start",
)


_CHANGES: Sequence[dict[str, Any]] = (*[{}] * 6, {"startedBy": "schedule"}, {"types": ["Patient"]})
_EVERYTHING: Sequence[dict[str, Any]] = ({"full": True}, {"since": "2026-01-01T00:00:00Z"})


@dataclass(frozen=True)
class Settings:
    """How the hub of an episode is configured."""

    overlap_seconds: int
    on_export_errors: str
    change_events: str
    max_events_per_run: int

    @classmethod
    def draw(cls, random: Random) -> Settings:
        """Settings under which more can go wrong than under the defaults."""
        return cls(
            overlap_seconds=random.choice((0, 1, 120)),
            on_export_errors=random.choice(("advance", "hold")),
            change_events=random.choice(("resource", "resource", "batch")),
            max_events_per_run=random.choice((7, 1_000_000)),
        )

    def variables(self) -> dict[str, str]:
        """As environment variables of the functions."""
        return {name.upper(): str(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class Weather:
    """One run: what is asked for, what HealthLake does, and what happens around it. Times in seconds."""

    request: dict[str, Any]
    healthlake: str
    starts: int
    stopped_after: float | None
    redriven: bool
    waited_for: bool
    writes: int

    @classmethod
    def draw(cls, random: Random, *, only_changes: bool = False) -> Weather:
        """A run's weather; most runs are incremental, and alone. With `only_changes` none is asked for
        everything, which would make up for what others have lost."""
        requests: Sequence[dict[str, Any]] = (*_CHANGES, *(() if only_changes else _EVERYTHING))
        return cls(
            request=random.choice(requests),
            healthlake=random.choice(_HEALTHLAKE),
            starts=2 if random.random() < 0.15 else 1,
            stopped_after=random.uniform(0, 0.8) if random.random() < 0.15 else None,
            redriven=random.random() < 0.2,
            waited_for=random.random() < 0.8,
            writes=random.randrange(6),
        )

    def break_healthlake(self, faults: Faults, random: Random, resource: tuple[str, str]) -> None:
        """Ask the local HealthLake to do so; `resource` is one that it may report as not exported."""
        calls, slow = random.randrange(1, 4), random.uniform(0.05, 0.3)
        breakers: Mapping[str, Callable[[], None]] = {
            "throttles the start": lambda: faults.throttle(calls, START),
            "throttles looks": lambda: faults.throttle(calls, DESCRIBE),
            "is down": lambda: _go_down(faults, calls),
            "fails the job": faults.fail_next_job,
            "reports errors": lambda: faults.errors_in_next_job(FailedResource(*resource)),
            "is slow": lambda: faults.slow_next_job(slow),
            "loses events": lambda: faults.drop_events(calls),
            "cannot cancel": faults.fail_next_cancel,
            "refuses the start": lambda: faults.refuse(1, 400, "ValidationException", START),
        }
        if self.healthlake != SOUND:
            breakers[self.healthlake]()


def _go_down(faults: Faults, calls: int) -> None:
    for action in (START, DESCRIBE, CANCEL, FIND):
        faults.refuse(calls, 503, "ServiceUnavailable", action)
