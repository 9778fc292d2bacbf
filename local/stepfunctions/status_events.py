"""The event that Step Functions puts on the default bus when an execution changes its status.

AWS documentation: "Automating Step Functions event delivery with EventBridge" (Execution status change).
"""

from __future__ import annotations

import datetime
from typing import Any

from local.stepfunctions import redrive
from local.stepfunctions.execution import Execution

SOURCE = "aws.states"
DETAIL_TYPE = "Step Functions Execution Status Change"
_LARGEST_PAYLOAD = 248 * 1024
_LEFT_OUT: dict[str, Any] = {
    "input": None,
    "inputDetails": {"included": False},
    "output": None,
    "outputDetails": {"included": False},
    "error": None,
    "cause": None,
}


def status_change_detail(execution: Execution) -> dict[str, Any]:
    """The `detail` of the event for the execution's status as it is now; times in epoch milliseconds.

    Of a state machine under a customer's key it has neither input and output nor error and cause ("Data at
    rest encryption in Step Functions").
    """
    status = execution.status
    redriven = redrive.description(execution, datetime.datetime.now(tz=datetime.UTC))
    redrive_date = execution.redrive_date
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
        "redriveCount": execution.redrive_count,
        "redriveDate": int(redrive_date.timestamp() * 1000) if redrive_date else None,
        "redriveStatus": redriven["redriveStatus"],
        "redriveStatusReason": redriven.get("redriveStatusReason"),
        "error": execution.error,
        "cause": execution.cause,
    }
    for part in ("input", "output"):
        if detail[part] is not None and len(detail[part].encode()) > _LARGEST_PAYLOAD:
            detail[part] = None
            detail[f"{part}Details"] = {"included": False}
    return {**detail, **_LEFT_OUT} if execution.state_machine.encrypted else detail
