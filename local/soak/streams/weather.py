"""How badly things go in one episode, drawn from its seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

SECONDS_OF_A_WORKER = 4.0
"""How long a worker lives at the least before it is killed, in the mean somewhat longer."""


@dataclass(frozen=True)
class Settings:
    """Parts of deliveries that come again, and again more than five minutes late; parts of invocations of
    functions that die, and of those the ones in the midst of work; seconds between deaths of workers."""

    repeat: float
    late: float
    deaths: float
    midst: float
    worker_seconds: float

    @classmethod
    def draw(cls, seed: int) -> Settings:
        """The same for the same seed."""
        random = Random(f"{seed}/weather")  # noqa: S311 - repeatable on purpose
        return cls(
            repeat=round(random.uniform(0.05, 0.3), 2),
            late=round(random.uniform(0.02, 0.1), 2),
            deaths=round(random.uniform(0.02, 0.06), 3),
            midst=round(random.uniform(0, 0.2), 2),
            worker_seconds=round(random.uniform(1, 2) * SECONDS_OF_A_WORKER, 1),
        )
