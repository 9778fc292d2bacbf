"""What CloudWatch counts of executions.

AWS documentation: AWS Step Functions Developer Guide, «Monitoring Step Functions metrics using Amazon
CloudWatch» (execution metrics of the namespace AWS/States, by StateMachineArn).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.account.ministack_names import ministack

METRICS: Mapping[str, str] = {
    "RUNNING": "ExecutionsStarted",
    "SUCCEEDED": "ExecutionsSucceeded",
    "FAILED": "ExecutionsFailed",
    "TIMED_OUT": "ExecutionsTimedOut",
    "ABORTED": "ExecutionsAborted",
}


def put(detail: Mapping[str, Any]) -> None:
    """Count a status change (the detail of its event) in the account and region of the current request."""
    if detail["status"] not in METRICS:
        return
    record = ministack("ministack.services.cloudwatch").record_metric
    dimensions = {"StateMachineArn": detail["stateMachineArn"]}
    redriven = detail["status"] == "RUNNING" and detail.get("redriveCount", 0) > 0
    record(
        "AWS/States",
        "ExecutionsRedriven" if redriven else METRICS[detail["status"]],
        1,
        "Count",
        dimensions,
    )
    if detail["stopDate"] is not None:
        taken = detail["stopDate"] - detail["startDate"]
        record("AWS/States", "ExecutionTime", taken, "Milliseconds", dimensions)
