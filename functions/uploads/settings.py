"""Settings of the function that records uploads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from common.settings import Environment
from common.units import MEBIBYTE


@dataclass(frozen=True)
class UploadSettings:
    """Where uploads are recorded, and how large they may be, in bytes."""

    table: str
    most_bytes: int

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> UploadSettings:
        """The settings in `variables`; raises `InvalidSetting` naming the first that is wrong."""
        environment = Environment(variables)
        megabytes = environment.integer("MAX_UPLOAD_MEGABYTES", minimum=1, maximum=5_000_000)
        return cls(table=environment.text("JOBS_TABLE"), most_bytes=megabytes * MEBIBYTE)


@cache
def upload_settings() -> UploadSettings:
    """The settings of this execution environment, read when first asked for."""
    return UploadSettings.read(os.environ)
