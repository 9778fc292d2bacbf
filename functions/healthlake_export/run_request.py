"""What a person or a schedule may ask of an execution, and the refusal of everything else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.errors import InvalidInput
from common.input_fields import flag_field, name_field, require_known_fields
from common.instants import parse_instant
from healthlake_export.fhir_r4 import RESOURCE_TYPES

_FIELDS = ("types", "since", "until", "full", "startedBy", "acceptErrors")
_LONGEST_NAME = 64

SCHEDULE = "schedule"
"""What the template's schedule says of itself in `startedBy`."""


@dataclass(frozen=True)
class RunRequest:
    """The input of an execution. Nothing given means: everything changed since the watermark.

    `started_by` says for the audit trail who asked (AWS CloudTrail has the proof), `accept_errors` that the
    watermark may move although HealthLake could not export some resources.
    """

    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    full: bool = False
    started_by: str = "unknown"
    accept_errors: bool = False

    @property
    def is_scheduled(self) -> bool:
        """Whether the schedule started it, and no person is there to read a refusal."""
        return self.started_by == SCHEDULE

    @property
    def is_replay(self) -> bool:
        """Whether it names a part of the datastore, by type or time. A part leaves the watermark alone,
        because what lies outside of it has not been accounted for."""
        return bool(self.types or self.since or self.until)


def parse_run_request(request: Any) -> RunRequest:
    """The request in an execution's input; raises `InvalidInput` naming the field and what it takes."""
    request = require_known_fields(request, _FIELDS)
    parsed = RunRequest(
        types=_types(request.get("types")),
        since=_instant("since", request.get("since")),
        until=_instant("until", request.get("until")),
        full=flag_field("full", request.get("full")),
        started_by=name_field("startedBy", request.get("startedBy")),
        accept_errors=flag_field("acceptErrors", request.get("acceptErrors")),
    )
    if parsed.full and (parsed.since or parsed.until):
        raise InvalidInput("The input asks for 'full' and for a window ('since' or 'until'): choose one.")
    if parsed.accept_errors and parsed.is_replay:
        raise InvalidInput(
            "The input asks for a part, which leaves the watermark alone, and for 'acceptErrors', which "
            "moves it: choose one."
        )
    if parsed.since and parsed.until and parsed.since >= parsed.until:
        raise InvalidInput("The input's 'since' must be earlier than its 'until'.")
    return parsed


def _types(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    message = "The input's 'types' must be a list of FHIR resource types, such as [\"Patient\"]."
    if not isinstance(value, list) or not value:
        raise InvalidInput(message)
    if not all(isinstance(name, str) for name in value):
        raise InvalidInput(message)
    unknown = [name for name in value if name not in RESOURCE_TYPES]
    if unknown:
        name = unknown[0][:_LONGEST_NAME]
        raise InvalidInput(f"The input's 'types' names {name!r}, which is no resource type of FHIR R4.")
    return tuple(dict.fromkeys(value))


def _instant(name: str, value: Any) -> datetime | None:
    if value is None:
        return None
    try:
        return parse_instant(value)
    except (TypeError, ValueError):
        raise InvalidInput(
            f'The input\'s {name!r} must be a time with its offset, such as "2026-01-31T00:00:00Z".'
        ) from None
