"""The event that Step Functions puts on the default bus when an execution changes its status.

AWS documentation: "Automating Step Functions event delivery with EventBridge" (Execution status change).
"""

from __future__ import annotations

from typing import Any

from local.stepfunctions.execution import Execution

SOURCE = "aws.states"
DETAIL_TYPE = "Step Functions Execution Status Change"
_LARGEST_PAYLOAD = 248 * 1024
_REDRIVABLE = ("FAILED", "TIMED_OUT", "ABORTED")


def status_change_detail(execution: Execution) -> dict[str, Any]:
    """The `detail` of the event for the execution's status as it is now; times in epoch milliseconds."""
    status = execution.status
    redrivable = status in _REDRIVABLE
    output = execution.output_text if status == "SUCCEEDED" else None
    detail: dict[str, Any] = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.state_machine.arn,
        "name": execution.name,
        "status": status,
        "startDate": int(execution.start_date.timestamp() * 1000),
        "stopDate": int(execution.stop_date.timestamp() * 1000) if execution.stop_date else None,
        "input": execution.input_text,
        "inputDetails": {"included": True},
        "output": output,
        "outputDetails": {"included": True} if output is not None else None,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "REDRIVABLE" if redrivable else "NOT_REDRIVABLE",
        "redriveStatusReason": None if redrivable else f"Execution is {status} and cannot be redriven",
        "error": execution.error,
        "cause": execution.cause,
    }
    for part in ("input", "output"):
        if detail[part] is not None and len(detail[part].encode()) > _LARGEST_PAYLOAD:
            detail[part] = None
            detail[f"{part}Details"] = {"included": False}
    return detail
