"""Settings of the transformation of rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from common.settings import Environment

_DAY = r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"


@dataclass(frozen=True)
class LakeSettings:
    """`first_day` is the first day, yyyy-MM-dd, that Athena's projection has."""

    bucket: str
    first_day: str

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> LakeSettings:
        """The settings in `variables`; raises `InvalidSetting` naming the first that is wrong."""
        environment = Environment(variables)
        return cls(
            bucket=environment.text("HUB_BUCKET"),
            first_day=environment.matching("LAKE_FIRST_DAY", _DAY, "a day as yyyy-MM-dd"),
        )


@cache
def lake_settings() -> LakeSettings:
    """The settings of this execution environment, read when first asked for."""
    return LakeSettings.read(os.environ)
