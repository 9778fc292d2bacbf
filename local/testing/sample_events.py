"""Which sample events are of which function, the first of each of its ordinary work; and which are
inputs of executions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.item_types.declared import DECLARATION, read_declared

EVENTS = Path(__file__).parents[2] / "events"

_EXPORT: Mapping[str, tuple[str, ...]] = {
    "AcquireRunLockFunction": ("schedule_fired", "replay_requested", "request_with_unknown_field"),
    "StartExportFunction": ("run_waits_for_export",),
    "CheckExportFunction": ("check_is_due", "job_reported_completed"),
    "PlanRangesFunction": ("export_completed", "export_completed_with_errors"),
    "ProcessRangeFunction": ("range_of_patients",),
    "ReconcileRunFunction": ("ranges_processed", "nothing_was_exported"),
    "AdvanceWatermarkFunction": ("run_was_reconciled",),
    "PublishRunEventsFunction": ("run_is_complete",),
    "CleanUpFailedRunFunction": ("execution_was_stopped", "range_could_not_be_processed"),
}
_REDRIVE: Mapping[str, tuple[str, ...]] = {
    "PlanRedriveFunction": (
        "daily_look_fired",
        "positions_are_due",
        "alarm_went_off",
        "redrive_requested",
        "dry_run_requested",
        "redrive_with_unknown_field",
    ),
    "RedriveMessagesFunction": ("dead_letters_planned",),
}
_CHANGES: Mapping[str, tuple[str, ...]] = {
    "EnrichChangesFunction": ("records_were_written", "record_was_removed"),
    "PrepareLakeRowsFunction": ("rows_are_asked_for",),
    "PartitionLakeRowsFunction": ("firehose_batch",),
}
_FHIR_WRITER: Mapping[str, tuple[str, ...]] = {
    # All consumers of changes are the same function, each behind the queue of its type.
    **{
        f"{one.name}ChangesFunction": ("changes_were_received",)
        for one in read_declared((EVENTS.parent / DECLARATION).read_text(encoding="utf-8"))
        if one.resource
    },
    "WriteFhirFunction": ("writes_were_queued",),
}

_UPLOADS: Mapping[str, tuple[str, ...]] = {
    "RecordUploadFunction": ("object_was_uploaded", "object_was_deleted", "notifications_were_turned_on"),
}
_TRANSITIONS: Mapping[str, tuple[str, ...]] = {"DetectTransitionsFunction": ("jobs_were_changed",)}

SAMPLES: Mapping[str, tuple[str, ...]] = {
    function: tuple(f"{folder}/{name}" for name in names)
    for folder, functions in (
        ("healthlake_export", _EXPORT),
        ("dlq_redrive", _REDRIVE),
        ("change_stream", _CHANGES),
        ("fhir_writer", _FHIR_WRITER),
        ("uploads", _UPLOADS),
        ("transitions", _TRANSITIONS),
    )
    for function, names in functions.items()
}
"""Paths of the files of each function below `events/`, without `.json`."""

INPUTS: Mapping[str, Mapping[str, str]] = {
    "RedriveStateMachine": {
        "redrive_execution/dry_run_of_all": "dlq_redrive/dry_run_requested",
        "redrive_execution/one_queue_counted": "dlq_redrive/redrive_requested",
        "redrive_execution/alarm_went_off": "dlq_redrive/alarm_went_off",
        "redrive_execution/positions_are_due": "dlq_redrive/positions_are_due",
    },
}
"""Inputs of each state machine, and the event that its first function gets with each."""

BETWEEN: tuple[str, ...] = (
    "change_stream/stream_was_read",
    "change_stream/changes_were_enriched",
    "change_stream/change_reached_the_bus",
    "transitions/transition_was_received",
    "transitions/records_were_given_up",
)
"""What goes from one service to the next and to no function: a record as the stream gives it, what the
enrichment of `records_were_written` answers, and what the bus makes of it; a transition as a worker receives
it, and records that Lambda has given up as it keeps them."""

SAMPLE_QUEUE = "healthlake-hub-StartExportDeadLetterQueue-1A2B3C4D5E6F"
"""The name of the dead-letter queue that samples are about."""


def sample(name: str) -> Any:
    """A sample event, by its path."""
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
