"""Settings of what reads the stream of records."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from common.settings import Environment


@dataclass(frozen=True)
class ChangeStreamSettings:
    """What the template decides for the enrichments of both pipes. `max_inline_bytes` is the size up to which
    an event carries its detail."""

    table: str
    bucket: str
    max_inline_bytes: int

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> ChangeStreamSettings:
        """The settings in `variables`; raises `InvalidSetting` naming the first that is wrong."""
        environment = Environment(variables)
        return cls(
            table=environment.text("RECORDS_TABLE"),
            bucket=environment.text("HUB_BUCKET"),
            max_inline_bytes=environment.integer("MAX_INLINE_BYTES", minimum=1024, maximum=900_000),
        )


@cache
def change_stream_settings() -> ChangeStreamSettings:
    """The settings of this execution environment, read when first asked for."""
    return ChangeStreamSettings.read(os.environ)
