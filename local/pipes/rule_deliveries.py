"""What becomes of an event that a rule cannot deliver: it goes to the target's dead-letter queue.

AWS documentation: Amazon EventBridge User Guide, «Using dead-letter queues to process undelivered events in
EventBridge» (a target that is gone, or that the rule may not reach, is not tried again); «Monitoring Amazon
EventBridge». Looked at are queues and functions; ministack gives them events whatever their policies say.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from local.account.ministack_names import ministack
from local.cloudwatch import stored_metrics
from local.cloudwatch.embedded_metrics import Measured
from local.streams.role_calls import service_allowed

logger = logging.getLogger("local.pipes")

_EVENTS = "events.amazonaws.com"


class Undeliverable(NamedTuple):
    """Why a target is not given an event, as dead letters say it."""

    code: str
    message: str


_GONE = Undeliverable("NO_RESOURCE", "The target does not exist.")
_FORBIDDEN = Undeliverable("NO_PERMISSIONS", "The rule is not authorized to invoke the target.")


def register() -> None:
    """Send what rules cannot deliver to the dead-letter queues of their targets."""
    events = ministack("ministack.services.eventbridge")
    events._invoke_target = _checking(events._invoke_target)


def _checking(shipped: Callable[..., None]) -> Callable[..., None]:
    def invoke_target(
        target: Mapping[str, Any], event: Any, rule: Mapping[str, Any], view: Any = None
    ) -> None:
        reason = undeliverable(str(target.get("Arn", "")), rule)
        _put(rule, "Invocations")
        if reason is None:
            shipped(target, event, rule, view)
            return
        _put(rule, "FailedInvocations")
        logger.warning("rule %s: %s: %s", rule.get("Name"), target.get("Arn"), reason.code)
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if queue:
            _bury(queue, target, _event_of(event, view), rule, reason)

    return invoke_target


def undeliverable(target_arn: str, rule: Mapping[str, Any]) -> Undeliverable | None:
    """Why a rule cannot deliver to a queue or function, None when it can."""
    service, account = (target_arn.split(":") + [""] * 6)[2:5:2]
    if service == "sqs":
        sqs = ministack("ministack.services.sqs")
        if not sqs._queue_by_arn(target_arn):
            return _GONE
        allowed = sqs.queue_policy_allows(target_arn, _EVENTS, rule["Arn"], account)
        return None if allowed else _FORBIDDEN
    if service == "lambda":
        functions = ministack("ministack.services.lambda_svc")
        found, _configuration, _name = functions._get_func_record_for_ref(target_arn)
        if not found:
            return _GONE
        return None if _may_invoke(functions, target_arn, rule) else _FORBIDDEN
    return None


def _may_invoke(functions: Any, function_arn: str, rule: Mapping[str, Any]) -> bool:
    if not ministack("ministack.app").AUTH:
        return True
    policy = functions.function_policy_for_arn(function_arn)
    return service_allowed(
        policy[0] if policy else None, "events", "lambda:InvokeFunction", function_arn, rule["Arn"]
    )


def _event_of(event: Any, view: Any) -> str:
    seen = view or ministack("ministack.services.eventbridge")._pattern_event_view(event)
    return json.dumps(seen.event_with_detail())


def _bury(
    queue: str, target: Mapping[str, Any], body: str, rule: Mapping[str, Any], reason: Undeliverable
) -> None:
    attributes = {
        "RULE_ARN": rule["Arn"],
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": reason.code,
        "ERROR_MESSAGE": reason.message,
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "RETRY_ATTEMPTS": "0",
    }
    if undeliverable(queue, rule) is not None:
        _put(rule, "InvocationsFailedToBeSentToDlq")
        logger.error("rule %s: its dead-letter queue %s cannot be reached", rule.get("Name"), queue)
        return
    sqs = ministack("ministack.services.sqs")
    url = sqs._queue_by_arn(queue)["url"]
    told = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
    message = {"QueueUrl": url, "MessageBody": body, "MessageAttributes": told}
    sqs._HANDLERS["SendMessage"](message, url)
    _put(rule, "InvocationsSentToDlq")


def _put(rule: Mapping[str, Any], metric: str) -> None:
    bus = rule.get("EventBusName", "default")
    dimensions = {"RuleName": rule["Name"], **({} if bus == "default" else {"EventBusName": bus})}
    stored_metrics.put(Measured("AWS/Events", metric, "Count", dimensions, (1.0,), time.time()))
