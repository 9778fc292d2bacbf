"""Mends timestamps in Choice states: fractions of a second and offsets, which moto does not read.

AWS documentation: "Choice workflow state"; timestamps follow the RFC 3339 profile of ISO 8601, with an
upper case T between date and time and, without an offset, an upper case Z.
"""

from __future__ import annotations

import datetime
import re

from moto.stepfunctions.parser.asl.component.state.choice.comparison.operator.implementations.is_operator import (  # noqa: E501
    IsTimestamp,
)

from local.stepfunctions.patching import replace

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def _string_to_timestamp(text: object) -> datetime.datetime | None:
    if not isinstance(text, str) or not _RFC_3339.fullmatch(text):
        return None
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def install() -> None:
    """Put the mended behaviour in place."""
    replace(IsTimestamp, "string_to_timestamp", staticmethod(_string_to_timestamp))
