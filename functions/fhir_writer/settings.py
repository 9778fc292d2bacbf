"""Settings of the functions that bring changes of records to HealthLake."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from common.settings import Environment

_URL = r"https?://\S+/\S+\.fifo"


@dataclass(frozen=True)
class QueueSettings:
    """What a consumer of changes needs to know."""

    fhir_writes: bool
    queue_url: str

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> QueueSettings:
        """The settings in `variables`; raises `InvalidSetting` naming the first that is wrong."""
        environment = Environment(variables)
        return cls(
            fhir_writes=environment.choice("FHIR_WRITES", "on", "off") == "on",
            queue_url=environment.matching("FHIR_WRITES_QUEUE_URL", _URL, "the URL of a FIFO queue"),
        )


@dataclass(frozen=True)
class WriterSettings:
    """What the writer needs to know. `claim_seconds` is how long a worker holds a resource at most."""

    table: str
    bucket: str
    records_table: str
    datastore_id: str
    claim_seconds: int

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> WriterSettings:
        """The settings in `variables`; raises `InvalidSetting` naming the first that is wrong."""
        environment = Environment(variables)
        return cls(
            table=environment.text("HUB_TABLE"),
            bucket=environment.text("HUB_BUCKET"),
            records_table=environment.text("RECORDS_TABLE"),
            datastore_id=environment.matching("DATASTORE_ID", r"[0-9a-f]{32}", "32 hexadecimal digits"),
            claim_seconds=environment.integer("CLAIM_SECONDS", minimum=30, maximum=900),
        )


@cache
def queue_settings() -> QueueSettings:
    """The settings of this execution environment, read when first asked for."""
    return QueueSettings.read(os.environ)


@cache
def writer_settings() -> WriterSettings:
    """The settings of this execution environment, read when first asked for."""
    return WriterSettings.read(os.environ)
