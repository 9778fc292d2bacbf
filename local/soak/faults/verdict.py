"""What must hold when the dust has settled: nothing lost, nothing invented, nothing left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import boto3

from healthlake_export.change_events import event_id
from healthlake_export.errors import ReconciliationFailed
from healthlake_export.export_planning import items_key, read_ranges
from healthlake_export.ledger import Ledger
from healthlake_export.reconciliation import reconcile
from healthlake_export.resource_keys import Meta, ResourceKeys
from healthlake_export.run_context import RunIdentity
from local.healthlake.export_jobs import FINAL
from local.soak.faults.lake_verdict import lake_problems
from local.soak.faults.writer import Name
from local.testing.export_hub import ExportHub
from local.testing.mocked_hub import BUCKET, REGION, TABLE

_COUNTS = ("files", "ranges", "bytes", "lines", "rows", "published", "repeated", "quarantined", "withheld")


def problems(hub: ExportHub, versions: Mapping[Name, list[str]]) -> list[str]:
    """Everything that does not hold, one line each."""
    rules = (_unpublished, _invented)
    found = [problem for rule in rules for problem in rule(hub, versions)]
    found += [*_left_over(hub), *_doubled(hub), *_ledgers(hub), *_untold(hub), *_watermarks(hub)]
    return [
        *found,
        *lake_problems(versions, {audit["runId"]: audit["rows"] for audit in _audits(hub, "COMPLETED")}),
    ]


def published(hub: ExportHub) -> Iterator[tuple[Name, str | None, str]]:
    """Resource, version and event id of everything that was told of on the bus, singly or in batches."""
    for detail in hub.resource_events():
        for told in detail.get("changes") or [detail["meta"]]:
            yield (told["resourceType"], told["id"]), told.get("versionId"), told["eventId"]


def _unpublished(hub: ExportHub, versions: Mapping[Name, list[str]]) -> Iterator[str]:
    ids = {identity for _, _, identity in published(hub)}
    for name, known in sorted(versions.items()):
        if _event_id(hub, name, known[-1]) not in ids:
            yield f"version {known[-1]} of {'/'.join(name)} was never published"


def _invented(hub: ExportHub, versions: Mapping[Name, list[str]]) -> Iterator[str]:
    for name, version, identity in published(hub):
        if version not in versions.get(name, ()) or identity != _event_id(hub, name, version):
            yield f"an event tells of version {version} of {'/'.join(name)}, which never was"


def _left_over(hub: ExportHub) -> Iterator[str]:
    state = hub.state
    if state.owner or state.phase:
        yield f"the lock is held by {state.owner}, in phase {state.phase}"
    for status in hub.jobs():
        if status not in FINAL:
            yield f"an export job is {status}"
    for run_id, _ in hub.outbox():
        yield f"the event of run {run_id} waits in the outbox"
    for run in hub.bench.runs:
        if run.status == "RUNNING":
            yield f"execution {run.name} still runs, in {run.path[-1:]}"


def _doubled(hub: ExportHub) -> Iterator[str]:
    """A job is named for its run, and a run has one."""
    listed = boto3.client("healthlake", REGION, endpoint_url=hub.healthlake.url).list_fhir_export_jobs(
        DatastoreId=hub.datastore.datastore_id, MaxResults=500
    )
    names = Counter(job["JobName"] for job in listed["ExportJobPropertiesList"])
    for name, jobs in names.items():
        if jobs > 1:
            yield f"there are {jobs} export jobs of the run that named them {name}"


def _ledgers(hub: ExportHub) -> Iterator[str]:
    for audit in _audits(hub, "COMPLETED"):
        run = RunIdentity(audit["runId"], audit["executionArn"], hub.datastore.datastore_id)
        try:
            totals = _reconciled(run, audit)
        except ReconciliationFailed as error:
            yield f"the ledger of run {run.run_id} does not add up: {error}"
            continue
        told = {name: audit[name] for name in _COUNTS}
        if totals != told:
            yield f"run {run.run_id} says {told}, and its ledger {totals}"


def _reconciled(run: RunIdentity, audit: Mapping[str, Any]) -> dict[str, Any]:
    plan = {name: audit[name] for name in ("files", "ranges", "bytes")}
    plan["quarantined"] = audit["exportErrors"]
    s3, dynamodb = boto3.client("s3", REGION), boto3.client("dynamodb", REGION)
    ranges = read_ranges(s3, BUCKET, items_key(run.run_id)) if plan["ranges"] else []
    ledger: Any = Ledger(dynamodb, TABLE, run)  # type: ignore[arg-type]  # reading asks for nothing but its id
    totals = reconcile(plan, ranges, list(ledger.read()), events=True).to_state()
    return {name: totals[name] for name in _COUNTS}


def _untold(hub: ExportHub) -> Iterator[str]:
    for status, kind in (("COMPLETED", "ExportCompleted"), ("FAILED", "ExportFailed")):
        told = {event["runId"] for event in hub.run_events(kind)}
        for audit in _audits(hub, status):
            if audit["runId"] not in told:
                yield f"no {kind} tells of run {audit['runId']}"
    for audit in _audits(hub, "RUNNING"):
        yield f"run {audit['runId']} is never said to have ended"


def _watermarks(hub: ExportHub) -> Iterator[str]:
    moved = [audit for audit in _audits(hub, "COMPLETED") if audit.get("watermark")]
    marks = [audit["watermark"] for audit in sorted(moved, key=lambda audit: str(audit["endedAt"]))]
    if marks != sorted(marks):
        yield "the watermark has moved back"


def _audits(hub: ExportHub, status: str) -> list[dict[str, Any]]:
    audits = [hub.audit(run) for run in hub.bench.runs]
    return [audit for audit in audits if audit.get("status") == status]


def _event_id(hub: ExportHub, name: Name, version: str | None) -> str:
    keys = ResourceKeys(*name, Meta(version))
    return event_id(hub.datastore.datastore_id, keys, b"").hex()
