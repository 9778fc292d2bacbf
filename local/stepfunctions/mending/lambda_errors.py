"""Mends the errors of Lambda functions that have no type, such as a crash or a timeout: Lambda.Unknown.

AWS documentation: "Handling errors in Step Functions workflows" (Lambda.Unknown).
"""

from __future__ import annotations

import json
from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.component.state.exec.state_task.lambda_eval_utils import (
    LambdaFunctionErrorException,
)

from local.stepfunctions.patching import original, replace


def _init(self: Any, function_error: str | None, payload: str) -> None:
    try:
        content = json.loads(payload)
    except ValueError:
        content = None
    if not isinstance(content, dict) or not content.get("errorType"):
        known = content if isinstance(content, dict) else {"errorMessage": payload}
        payload = json.dumps({**known, "errorType": "Lambda.Unknown"}, separators=(",", ":"))
    original(LambdaFunctionErrorException, "__init__")(self, function_error, payload)


def install() -> None:
    """Put the mended behaviour in place."""
    original(lambda_eval_utils, "LambdaFunctionErrorException")
    replace(LambdaFunctionErrorException, "__init__", _init)
