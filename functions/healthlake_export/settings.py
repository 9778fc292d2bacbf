"""Settings of the export workflow.

Every function of the workflow has the same environment (the template sets it once), so the first state
of an execution checks all of it: a missing or malformed setting ends a run before anything is locked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from common.settings import Environment
from common.units import MEBIBYTE

_ROLE = r"arn:[\w-]+:iam::\d{12}:role/.+"
_KEY = r"arn:[\w-]+:kms:[\w-]+:\d{12}:key/.+"
_URL = r"https?://\S+/\S+"
_EVENTS = ("resource", "batch", "off")


@dataclass(frozen=True)
class ExportSettings:
    """What the template decides for every run. Times are in seconds, sizes in bytes."""

    table: str
    bucket: str
    lake_bucket: str
    bus: str
    datastore_id: str
    data_access_role_arn: str
    kms_key_arn: str
    start_queue_url: str
    check_queue_url: str
    overlap_seconds: int
    range_size: int
    max_inline_bytes: int
    change_events: bool
    batch_events: bool
    max_events_per_run: int
    full_run_events: bool
    hold_on_export_errors: bool
    max_export_seconds: int
    first_check_delay: int
    max_check_delay: int
    start_expiry: int
    max_concurrency: int

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> ExportSettings:
        """The settings in `variables`; raises `InvalidSetting` naming the first that is wrong."""
        environment = Environment(variables)
        return cls(
            table=environment.text("HUB_TABLE"),
            bucket=environment.text("HUB_BUCKET"),
            lake_bucket=environment.text("LAKE_BUCKET"),
            bus=environment.text("EVENT_BUS"),
            datastore_id=environment.matching("DATASTORE_ID", r"[0-9a-f]{32}", "32 hexadecimal digits"),
            data_access_role_arn=environment.matching("DATA_ACCESS_ROLE_ARN", _ROLE, "the ARN of a role"),
            kms_key_arn=environment.matching("KMS_KEY_ARN", _KEY, "the ARN of a key"),
            start_queue_url=environment.matching("START_QUEUE_URL", _URL, "the URL of a queue"),
            check_queue_url=environment.matching("CHECK_QUEUE_URL", _URL, "the URL of a queue"),
            overlap_seconds=environment.integer("OVERLAP_SECONDS", minimum=0, maximum=3600),
            range_size=environment.integer("RANGE_SIZE_MEGABYTES", minimum=1, maximum=1024) * MEBIBYTE,
            max_inline_bytes=environment.integer("MAX_INLINE_BYTES", minimum=1024, maximum=900_000),
            change_events=environment.choice("CHANGE_EVENTS", *_EVENTS) != "off",
            batch_events=environment.choice("CHANGE_EVENTS", *_EVENTS) == "batch",
            max_events_per_run=environment.integer("MAX_EVENTS_PER_RUN", minimum=1, maximum=100_000_000),
            full_run_events=environment.choice("FULL_RUN_EVENTS", "on", "off") == "on",
            hold_on_export_errors=environment.choice("ON_EXPORT_ERRORS", "advance", "hold") == "hold",
            max_export_seconds=environment.integer("MAX_EXPORT_HOURS", minimum=1, maximum=96) * 3600,
            first_check_delay=environment.integer("FIRST_CHECK_DELAY_SECONDS", minimum=1, maximum=900),
            max_check_delay=environment.integer("MAX_CHECK_DELAY_SECONDS", minimum=1, maximum=900),
            start_expiry=environment.integer("START_EXPIRY_SECONDS", minimum=30, maximum=900),
            max_concurrency=environment.integer("MAX_CONCURRENCY", minimum=1, maximum=1000),
        )


@cache
def export_settings() -> ExportSettings:
    """The settings of this execution environment, read when first asked for."""
    return ExportSettings.read(os.environ)
