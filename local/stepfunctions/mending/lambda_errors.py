"""Mends the errors of Lambda functions that have no type, such as a crash or a timeout: Lambda.Unknown.

AWS documentation: "Handling errors in Step Functions workflows" (Lambda.Unknown).
"""

from __future__ import annotations

import json
from typing import Any

from moto.stepfunctions.parser.api import HistoryEventType, LambdaFunctionFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.state.exec.state_task.lambda_eval_utils import (
    LambdaFunctionErrorException,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import StateTaskLambda

from local.stepfunctions.patching import original, replace

UNKNOWN = "Lambda.Unknown"


def is_untyped(failure: Exception) -> bool:
    """Whether it is a function's error that does not say of which type it is."""
    if not isinstance(failure, LambdaFunctionErrorException):
        return False
    try:
        content = json.loads(failure.payload)
    except ValueError:
        return True
    return not (isinstance(content, dict) and content.get("errorType"))


def _from_error(self: Any, env: Any, ex: Exception) -> Any:
    if not is_untyped(ex):
        return original(StateTaskLambda, "_from_error")(self, env=env, ex=ex)
    details = LambdaFunctionFailedEventDetails(error=UNKNOWN, cause=ex.payload)  # type: ignore[attr-defined]
    return FailureEvent(
        env=env,
        error_name=CustomErrorName(error_name=UNKNOWN),
        event_type=HistoryEventType.LambdaFunctionFailed,
        event_details={"lambdaFunctionFailedEventDetails": details},
    )


def install() -> None:
    """Put the mended behaviour in place."""
    replace(StateTaskLambda, "_from_error", _from_error)
