"""The state item of a datastore as it reads: who runs, how far its export is, what has been covered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.table_values import number, text

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef


@dataclass(frozen=True)
class DatastoreState:
    """The state item as read; what a free lock does not have is None. Times are ISO 8601, UTC. `holds` counts
    the runs in a row that left the watermark because HealthLake could not export some resources."""

    owner: str | None = None
    run_id: str | None = None
    phase: str | None = None
    attempt: str | None = None
    starting_until: int | None = None
    requested_at: str | None = None
    job_id: str | None = None
    running_since: int | None = None
    task_token: str | None = None
    sequence: int = 0
    watermark: str | None = None
    published_ids: str | None = None
    ids_are_silent: bool = False
    first_run_at: str | None = None
    holds: int = 0
    paused_at: str | None = None

    @classmethod
    def from_item(cls, item: Mapping[str, AttributeValueTypeDef]) -> DatastoreState:
        """The state in a table item."""
        return cls(
            owner=text(item, "owner"),
            run_id=text(item, "runId"),
            phase=text(item, "phase"),
            attempt=text(item, "attempt"),
            starting_until=number(item, "startingUntil"),
            requested_at=text(item, "requestedAt"),
            job_id=text(item, "jobId"),
            running_since=number(item, "runningSince"),
            task_token=text(item, "taskToken"),
            sequence=number(item, "sequence") or 0,
            watermark=text(item, "watermark"),
            published_ids=text(item, "publishedIds"),
            ids_are_silent=item.get("idsAreSilent", {}).get("BOOL", False),
            first_run_at=text(item, "firstRunAt"),
            holds=number(item, "holds") or 0,
            paused_at=text(item, "pausedAt"),
        )
