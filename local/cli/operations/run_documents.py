"""A run as commands tell of it: what its audit item says together with what Step Functions says."""

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from common.errors import InvalidInput
from common.instants import format_instant, parse_instant
from healthlake_export.failure_reason import failure_reason
from healthlake_export.run_request import parse_run_request
from local.cli.operations.run_items import SUMMED

RECONCILED = ("files", "ranges", "bytes", *SUMMED, "lakeFiles", "lakeBytes")
"""Counts of a run that its ledger adds up to."""

COUNTS = (*RECONCILED, "exportErrors")
_ASKED = ("startedBy", "mode", "types", "since", "until")
_TOLD = ("jobId", "jobStatus", "watermark", "held")
_ENDED = ("COMPLETED", "FAILED")
_LIVE = ("RUNNING", "PENDING_REDRIVE")


def describe_execution(client: Any, arn: str) -> Mapping[str, Any] | None:
    """Step Functions' description of an execution, or None when it has none (any more)."""
    try:
        description: Mapping[str, Any] = client.describe_execution(executionArn=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("ExecutionDoesNotExist", "InvalidArn"):
            return None
        raise
    return description


def needs_description(audit: Mapping[str, Any], execution: Mapping[str, Any]) -> bool:
    """Whether only the execution's input says who started the run, or only its output or error how it
    ended: it had not taken the lock, or wrote no end of its own."""
    ended_silently = execution["status"] not in _LIVE and audit.get("status") not in _ENDED
    return ended_silently or "startedBy" not in audit


def run_document(
    run_id: str, audit: Mapping[str, Any], execution: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The run with its status in the hub's words, whom it was started by, its window, counts and error.

    `execution` is of ListExecutions or DescribeExecution, or None when Step Functions does not know it.
    """
    error, cause = _why(audit, execution)
    started = _started(audit, execution)
    return {
        "runId": run_id,
        "status": _status(audit, execution),
        **{name: audit.get(name) for name in _ASKED},
        "startedBy": audit.get("startedBy") or _asked_by(execution),
        "startedAt": started,
        "seconds": _seconds(started, audit, execution),
        **{name: audit.get(name) for name in COUNTS},
        **{name: audit.get(name) for name in _TOLD},
        "error": error,
        "cause": cause,
        "executionStatus": execution["status"] if execution else None,
    }


def window(run: Mapping[str, Any]) -> str:
    """What the run covered, in words."""
    if run["mode"] is None:
        return "-"
    since, until = run["since"], run["until"]
    parts = [f"since {since}" if since else "", f"until {until}" if until else "", run["types"] or ""]
    return ", ".join(filter(None, parts)) or "everything"


def _status(audit: Mapping[str, Any], execution: Mapping[str, Any] | None) -> str:
    own = audit.get("status")
    if execution is None:
        return str(own)
    if own in _ENDED or (own == execution["status"] == "RUNNING"):
        return str(own)
    told = _output(execution).get("status")
    return str(told or execution["status"])


def _asked_by(execution: Mapping[str, Any] | None) -> str | None:
    """Who started a run that never had the lock, by its input, whatever somebody wrote into that."""
    if execution is None or "input" not in execution:
        return None
    try:
        return parse_run_request({"startedBy": _document(execution["input"]).get("startedBy")}).started_by
    except InvalidInput:
        return None


def _output(execution: Mapping[str, Any]) -> Mapping[str, Any]:
    return _document(execution.get("output") or "{}")


def _document(text: str) -> Mapping[str, Any]:
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _why(audit: Mapping[str, Any], execution: Mapping[str, Any] | None) -> tuple[str | None, str | None]:
    if audit.get("error"):
        return audit["error"], audit.get("cause")
    if audit.get("status") in _ENDED or not execution or not execution.get("error"):
        return None, None
    reason = failure_reason({"Error": execution["error"], "Cause": execution.get("cause")})
    return reason.error, reason.cause


def _started(audit: Mapping[str, Any], execution: Mapping[str, Any] | None) -> str | None:
    if execution is not None:
        return format_instant(execution["startDate"])
    started: str | None = audit.get("startedAt")
    return started


def _seconds(
    started: str | None, audit: Mapping[str, Any], execution: Mapping[str, Any] | None
) -> float | None:
    stop = execution.get("stopDate") if execution else None
    if stop is None and audit.get("endedAt"):
        stop = parse_instant(audit["endedAt"])
    if stop is None or started is None:
        return None
    return round(float((stop - parse_instant(started)).total_seconds()), 1)
