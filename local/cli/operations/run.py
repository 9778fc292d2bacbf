"""`run`: everything that is known of one run."""

from collections.abc import Mapping
from typing import Any

from healthlake_export.table_keys import outbox_key
from local.cli.errors import CommandError
from local.cli.operations.audit_items import read_audits
from local.cli.operations.execution_story import failed_state, failures, read_history
from local.cli.operations.hub import DeployedHub
from local.cli.operations.quarantine_objects import list_quarantine
from local.cli.operations.run_documents import COUNTS, describe_execution, run_document, window
from local.cli.operations.run_items import SUMMED, read_failures, read_ledger, short, summarise_files
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.project import command_line

_FACTS = ("status", "executionStatus", "startedBy", "startedAt", "seconds", "mode", "jobId", "jobStatus")
_FILE_COLUMNS = ("ranges", "bytes", *SUMMED)


def run(hub: DeployedHub, output: Output, run_id: str) -> int:
    """Show the run; raises CommandError when neither table nor Step Functions knows it."""
    document = describe_run(hub, run_id)
    _show_facts(document, output)
    _show_failures(document, output)
    _show_files(document, output)
    _show_places(document, output)
    output.document({"hub": hub.document(), "run": document})
    return 0


def describe_run(hub: DeployedHub, run_id: str) -> dict[str, Any]:
    """Audit item, execution, failures, files, quarantine and outbox of the run in one document."""
    table = hub.client("dynamodb")
    audit = read_audits(table, hub.table, [run_id]).get(run_id, {})
    states = hub.client("stepfunctions")
    arn = audit.get("executionArn") or hub.execution_arn(run_id)
    execution = describe_execution(states, arn)
    if not audit and execution is None:
        raise CommandError(
            f"Neither the hub's table nor Step Functions knows a run {run_id}.",
            f"`{command_line()} runs` lists those there are.",
        )
    found = failures(read_history(states, arn), execution["startDate"]) if execution else []
    failed = (
        failed_state(found) if execution and execution["status"] not in ("RUNNING", "SUCCEEDED") else None
    )
    ledger = read_ledger(table, hub.table, run_id)
    processed = {item.index for item in ledger}
    return {
        **run_document(run_id, audit, execution),
        "executionArn": arn,
        "failedState": failed.document() if failed else None,
        "stateFailures": [one.document() for one in found],
        "files": [summary.document() for summary in summarise_files(ledger)],
        "counts": {name: audit.get(name) for name in COUNTS},
        "failedRanges": [
            {**one, "processedSince": one["index"] in processed}
            for one in read_failures(table, hub.table, run_id)
        ],
        "quarantine": [one.key for one in list_quarantine(hub.client("s3"), hub.bucket, run_id)],
        "waitsInOutbox": _waits_in_outbox(table, hub, run_id),
    }


def _waits_in_outbox(table: Any, hub: DeployedHub, run_id: str) -> bool:
    key = outbox_key(hub.datastore_id, run_id)
    return "Item" in table.get_item(TableName=hub.table, Key=key, ConsistentRead=True)


def _show_facts(document: Mapping[str, Any], output: Output) -> None:
    output.line(f"Run {document['runId']}", style="bold")
    facts = {name: document[name] for name in _FACTS} | {"window": window(document)}
    if document["executionStatus"] is None:
        facts["executionStatus"] = "no longer known to Step Functions (kept 90 days)"
    known = {name: value for name, value in document["counts"].items() if value is not None}
    output.fields({**facts, **known, "watermark": document["watermark"]})
    if document["held"]:
        output.warning("Held: HealthLake could not export some resources, so the watermark did not move.")
    if document["error"]:
        output.bad(f"{document['error']}: {document['cause']}")


def _show_failures(document: Mapping[str, Any], output: Output) -> None:
    failed = document["failedState"]
    if failed:
        output.bad(f"Failed in «{failed['state']}» after {failed['seconds']:,.1f} s: {failed['error']}")
    tried = [one for one in document["stateFailures"] if one != failed or one["tries"] > 1]
    if tried:
        output.line()
        output.line("Failures on the way", style="bold")
        columns = ("state", "seconds", "tries", "error", "cause")
        show_table(output, columns, [[one[name] for name in columns] for one in tried])
    if document["failedRanges"]:
        output.line()
        output.line("Byte ranges that failed", style="bold")
        names = ("index", "processedSince", "error", "reason")
        rows = [[one.get(name) for name in names] for one in document["failedRanges"]]
        show_table(output, ("range", "processed since", "error", "reason"), rows)


def _show_files(document: Mapping[str, Any], output: Output) -> None:
    if not document["files"]:
        return
    output.line()
    output.line("Ledger by file", style="bold")
    rows = [
        [*(one[name] for name in _FILE_COLUMNS), one["addsUp"], short(one["key"])]
        for one in document["files"]
    ]
    show_table(output, (*_FILE_COLUMNS, "adds up", "file"), rows)


def _show_places(document: Mapping[str, Any], output: Output) -> None:
    output.line()
    quarantined = document["quarantine"]
    output.line(f"Quarantine: {counted(len(quarantined), 'object')}")
    for key in quarantined:
        output.line(f"  {key}")
    if document["waitsInOutbox"]:
        output.warning("The event of the run's end still waits in the outbox; the next run publishes it.")
