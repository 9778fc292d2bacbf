"""What CloudWatch is told of a function's calls, whoever calls it.

AWS documentation: AWS Lambda Developer Guide, «Types of metrics for Lambda functions». ministack counts calls
of the API only: nothing of what queues, streams, rules, topics and buckets let functions do, nor the retries
of asynchronous calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

Emit = Callable[..., None]


def counting(execute: Callable[..., Any], emit: Emit) -> Callable[..., Any]:
    """ministack's function that lets a function run, which counts each run."""

    def execute_function(function: Any, configuration: Mapping[str, Any], *rest: Any) -> Any:
        started = time.monotonic()
        answer = execute(function, configuration, *rest)
        emit(
            configuration.get("FunctionName", "unknown"),
            duration_ms=(time.monotonic() - started) * 1000,
            error=isinstance(answer, dict) and bool(answer.get("error")),
            throttle=False,
        )
        return answer

    return execute_function


def of_throttled_calls(emit: Emit) -> Emit:
    """ministack's own count of calls, of which only those are left that were refused before they ran."""

    def emit_metrics(function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        if throttle and not duration_ms:
            emit(function_name, duration_ms, error, throttle)

    return emit_metrics
