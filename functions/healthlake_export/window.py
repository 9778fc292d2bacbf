"""Which part of a datastore's history a run covers, and what its success means for the watermark.

An export holds the current version of each resource. A run therefore asks for everything since the
watermark less an overlap and sets no end: a resource rewritten after an end would be in neither this
window nor, with its later time, in the one that a fixed end promises. The overlap covers what clocks and
a not yet visible write may hide; what it brings twice is recognised by event id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.instants import format_instant
from healthlake_export.run_context import Mode, RunContext, RunIdentity
from healthlake_export.run_request import RunRequest


@dataclass(frozen=True)
class Progress:
    """What earlier runs left: the watermark (the time of the start request of the last run that covered
    everything) and the key of the object with the event ids of its last minutes; `silent_ids` says that it
    wrote those to the lake and published none."""

    watermark: datetime | None = None
    published_ids: str | None = None
    silent_ids: bool = False


@dataclass(frozen=True)
class EventPolicy:
    """Which runs publish events: none at all, or all but full runs, or all; and whether in batches."""

    change_events: bool
    full_run_events: bool
    batches: bool = False


def plan_run(
    identity: RunIdentity,
    request: RunRequest,
    progress: Progress,
    overlap: timedelta,
    policy: EventPolicy,
    started_at: str,
) -> RunContext:
    """The run that answers `request`, given the `progress` of earlier ones; `started_at` is the start of
    its execution, ISO 8601 in UTC."""
    mode = _mode(request, progress)
    snapshot = mode == "full" or request.full
    since = _since(mode, request, progress, overlap)
    silent = snapshot and not policy.full_run_events
    events = policy.change_events and not silent
    return RunContext(
        run_id=identity.run_id,
        execution_arn=identity.execution_arn,
        datastore_id=identity.datastore_id,
        mode=mode,
        snapshot=snapshot,
        events=events,
        since=None if since is None else format_instant(since),
        until=None if request.until is None else format_instant(request.until),
        types=request.types,
        started_at=started_at,
        advances_watermark=_advances(mode, progress, silent=policy.change_events and silent),
        previous_ids=_previous_ids(progress, events=events) if mode == "incremental" else None,
        batches=policy.batches,
        started_by=request.started_by,
        accepts_errors=request.accept_errors,
    )


def _mode(request: RunRequest, progress: Progress) -> Mode:
    if request.is_replay:
        return "replay"
    if request.full or progress.watermark is None:
        return "full"
    return "incremental"


def _advances(mode: Mode, progress: Progress, *, silent: bool) -> bool:
    """A silent full run publishes nothing, so it may set a first watermark but not move one: what changed
    since that one is yet to be published."""
    if mode == "full" and silent:
        return progress.watermark is None
    return mode != "replay"


def _previous_ids(progress: Progress, *, events: bool) -> str | None:
    """What a silent run left has yet to be published by one that is not."""
    return None if events and progress.silent_ids else progress.published_ids


def _since(mode: Mode, request: RunRequest, progress: Progress, overlap: timedelta) -> datetime | None:
    if mode == "replay":
        return request.since
    if mode == "full" or progress.watermark is None:
        return None
    return progress.watermark - overlap
