"""What CloudWatch is told of a pipe's executions.

AWS documentation: «Logging and monitoring Amazon EventBridge Pipes using Amazon CloudWatch Logs», «CloudWatch
metrics». Failures are told with 0 for executions that did not fail.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from local.cloudwatch import stored_metrics
from local.cloudwatch.embedded_metrics import Measured

NAMESPACE = "AWS/EventBridge/Pipes"
_UNITS = {
    "Duration": "Milliseconds",
    "EnrichmentStageDuration": "Milliseconds",
    "TargetStageDuration": "Milliseconds",
    "EventSize": "Bytes",
}


def put(pipe_name: str, values: Mapping[str, float]) -> None:
    """Keep the metrics of one execution."""
    now = time.time()
    for name, value in values.items():
        unit = _UNITS.get(name, "None")
        stored_metrics.put(Measured(NAMESPACE, name, unit, {"PipeName": pipe_name}, (value,), now))
