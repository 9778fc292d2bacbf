"""Where what a function failed on is sent after an asynchronous invocation: with the rights of its role.

AWS documentation: AWS Lambda Developer Guide, «Capturing records of Lambda asynchronous invocations»; «Types
of metrics for Lambda functions» for what is told where the role has no right. ministack asks nobody.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Any

from local.cloudwatch import stored_metrics
from local.cloudwatch.embedded_metrics import Measured
from local.streams.role_calls import CallFailed, RoleCalls

logger = logging.getLogger("local.lambda")

_ACTIONS = {"sqs": "sqs:SendMessage", "sns": "sns:Publish", "lambda": "lambda:InvokeFunction"}


def asking_the_role(service: Any) -> Callable[..., None]:
    """What takes the place of ministack's function that sends to a destination."""
    shipped = service._route_async_failure

    def route(target_arn: str, function: str, event: object, result: Mapping[str, Any]) -> None:
        configuration = service._functions.get(function, {}).get("config", {})
        try:
            # not in the context of the request that the function was called by
            Context().run(_require, configuration, target_arn)
        except CallFailed as refusal:
            logger.error("%s: its destination did not take an event: %s", function, refusal)
            failed = Measured(
                "AWS/Lambda",
                "DestinationDeliveryFailures",
                "Count",
                {"FunctionName": function},
                (1,),
                time.time(),
            )
            stored_metrics.put(failed)
        else:
            shipped(target_arn, function, event, result)

    return route


def _require(configuration: Mapping[str, Any], target_arn: str) -> None:
    _, _, service, region, account_id, *_ = (*target_arn.split(":"), "", "", "", "")
    action = _ACTIONS.get(service)
    if action is not None:
        calls = RoleCalls("lambda", configuration.get("Role", ""), region, account_id)
        calls.enter()
        calls.require(action, target_arn)
