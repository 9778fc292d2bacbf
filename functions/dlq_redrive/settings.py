"""Settings of the redrive workflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from common.settings import Environment

_STACK = r"[A-Za-z][A-Za-z0-9-]{0,127}"


@dataclass(frozen=True)
class RedriveSettings:
    """What the template decides for every redrive.

    `cool_down` is how long after a redrive of a queue SQS makes none of it. `quarantine_after` leaves room
    before the 14 days after which SQS drops a message: it is the age at which a message goes to quarantine by
    itself.
    """

    table: str
    bucket: str
    bus: str
    stack: str
    max_redrives: int
    messages_per_second: int
    cool_down: timedelta
    quarantine_after: timedelta

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> RedriveSettings:
        """The settings in `variables`; raises `InvalidSetting` naming the first that is wrong."""
        environment = Environment(variables)
        return cls(
            table=environment.text("HUB_TABLE"),
            bucket=environment.text("HUB_BUCKET"),
            bus=environment.text("EVENT_BUS"),
            stack=environment.matching("STACK_NAME", _STACK, "the name of a stack"),
            max_redrives=environment.integer("MAX_REDRIVES", minimum=1, maximum=20),
            messages_per_second=environment.integer("REDRIVE_MESSAGES_PER_SECOND", minimum=1, maximum=500),
            cool_down=timedelta(
                hours=environment.integer("REDRIVE_COOL_DOWN_HOURS", minimum=1, maximum=8760)
            ),
            quarantine_after=timedelta(
                days=environment.integer("QUARANTINE_DEAD_LETTERS_AFTER_DAYS", minimum=1, maximum=13)
            ),
        )


@cache
def redrive_settings() -> RedriveSettings:
    """The settings of this execution environment, read when first asked for."""
    return RedriveSettings.read(os.environ)
