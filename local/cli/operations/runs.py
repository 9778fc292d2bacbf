"""`runs`: the recent runs of a hub, newest first."""

from collections.abc import Iterator, Mapping
from typing import Any

from local.cli.operations.audit_items import read_audits
from local.cli.operations.hub import DeployedHub
from local.cli.operations.run_documents import (
    describe_execution,
    needs_description,
    run_document,
    window,
)
from local.cli.operations.tables import show_table
from local.cli.output import Output

_PAGE = 1000
_FAILED = ("FAILED", "TIMED_OUT", "ABORTED")
_COLUMNS = ("run", "status", "started", "by", "mode", "window", "seconds", "lines", "published")
_MORE_COLUMNS = ("repeated", "quarantined", "error")


def runs(hub: DeployedHub, output: Output, *, limit: int, failed: bool) -> int:
    """Show the newest runs, at most `limit`; with `failed` those whose execution failed, was stopped or
    took too long."""
    found = recent_runs(hub, limit, failed=failed)
    if found:
        show_table(output, (*_COLUMNS, *_MORE_COLUMNS), [_row(run) for run in found])
    else:
        output.line("No run has failed." if failed else "There was no run yet.")
    output.document({"hub": hub.document(), "runs": found})
    return 0


def recent_runs(hub: DeployedHub, limit: int, *, failed: bool) -> list[dict[str, Any]]:
    """Documents of the newest runs, newest first."""
    client = hub.client("stepfunctions")
    executions = _newest(client, hub.state_machine_arn, limit, failed=failed)
    ids = [execution["name"] for execution in executions]
    audits = read_audits(hub.client("dynamodb"), hub.table, ids)
    return [_document(client, audits.get(execution["name"], {}), execution) for execution in executions]


def _document(client: Any, audit: Mapping[str, Any], execution: Mapping[str, Any]) -> dict[str, Any]:
    known = execution
    if needs_description(audit, execution):
        known = describe_execution(client, execution["executionArn"]) or execution
    return run_document(execution["name"], audit, known)


def _newest(client: Any, state_machine_arn: str, limit: int, *, failed: bool) -> list[Mapping[str, Any]]:
    """«ListExecutions» answers newest first, for one status or for all."""
    filters: list[dict[str, str]] = [{"statusFilter": status} for status in _FAILED] if failed else [{}]
    found = [
        execution
        for chosen in filters
        for execution in _list(client, limit, stateMachineArn=state_machine_arn, **chosen)
    ]
    return sorted(found, key=lambda execution: execution["startDate"], reverse=True)[:limit]


def _list(client: Any, limit: int, **asked: str) -> Iterator[Mapping[str, Any]]:
    pages = client.get_paginator("list_executions").paginate(
        **asked, PaginationConfig={"MaxItems": limit, "PageSize": min(limit, _PAGE)}
    )
    for page in pages:
        yield from page["executions"]


def _row(run: Mapping[str, Any]) -> list[object]:
    return [
        run["runId"],
        f"{run['status']} (held)" if run["held"] else run["status"],
        run["startedAt"],
        run["startedBy"],
        run["mode"],
        window(run),
        run["seconds"],
        run["lines"],
        run["published"],
        run["repeated"],
        run["quarantined"],
        run["error"],
    ]
