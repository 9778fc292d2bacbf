"""Settings of the function that detects transitions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from common.settings import Environment


@dataclass(frozen=True)
class TransitionSettings:
    """Where transitions go."""

    queue_url: str
    bucket: str

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> TransitionSettings:
        """The settings in `variables`; raises `InvalidSetting` naming the first that is wrong."""
        environment = Environment(variables)
        return cls(
            queue_url=environment.text("JOBS_QUEUE_URL"),
            bucket=environment.text("HUB_BUCKET"),
        )


@cache
def transition_settings() -> TransitionSettings:
    """The settings of this execution environment, read when first asked for."""
    return TransitionSettings.read(os.environ)
