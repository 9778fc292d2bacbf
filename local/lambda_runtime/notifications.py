"""Notifications of SNS for functions: asynchronous invocations, as on AWS.

ministack calls the function once, and what it fails on is gone. AWS Lambda Developer Guide, «Invoking Lambda
functions with Amazon SNS notifications»: SNS invokes asynchronously, so that Lambda tries again, and sends
what goes on failing to the function's destination.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from local.account.ministack_names import ministack

logger = logging.getLogger("local.lambda")


def register() -> None:
    """Let subscribed functions be tried again."""
    ministack("ministack.services.sns")._deliver_to_lambda = delivery(
        ministack("ministack.services.lambda_svc")
    )


def delivery(service: Any) -> Callable[..., None]:
    """What takes the place of ministack's delivery to a function."""

    def deliver(endpoint: str, envelope: str, _topic: str, subscription: str, *_: object) -> None:
        function, configuration, name = service._get_func_record_for_ref(endpoint)
        if not function or not configuration:
            logger.warning("a topic has a subscriber that is no function: %s", name)
            return
        record = {
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription,
            "EventSource": "aws:sns",
            "Sns": json.loads(envelope),
        }
        service.invoke_async_with_retry(
            service._execution_record_for_config(function, configuration), {"Records": [record]}
        )

    return deliver
