"""Joins metrics and alarms to ministack.

ministack keeps metrics, alarms and dashboards and serves their API. Its own evaluation looks at a metric's
name alone, knows neither periods, missing data nor metric math, and runs only when somebody puts metrics; it
is replaced. Metrics out of logs and of queues are added; those of functions are ministack's, those of
executions come with the Step Functions engine.

POST /_local/cloudwatch/evaluate evaluates at once what is otherwise evaluated every minute, and answers every
alarm's state. {"afterSeconds": n} evaluates as of n seconds from now: nobody need wait for a period to pass.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.account.joined_service import Answer, join_service
from local.account.ministack_names import ministack
from local.account.settings import ACCOUNT_ID, DEFAULT_REGION
from local.cloudwatch import queue_metrics, stored_metrics
from local.cloudwatch.alarm_evaluation import Alarms, Record
from local.cloudwatch.log_permissions import stream_of_events
from local.cloudwatch.rule_permissions import rule_of_targets

logger = logging.getLogger("local.cloudwatch")

SERVICE = "local_cloudwatch"
PREFIX = "/_local/cloudwatch"

# «CloudWatch evaluates alarms every minute» (Alarm evaluation).
EVALUATION_SECONDS = 60.0


def register() -> None:
    """Let alarms be evaluated as on AWS and metrics be put by logs and queues."""
    cloudwatch = ministack("ministack.services.cloudwatch")
    alarms = Alarms(records=cloudwatch._alarms.values, value_of=stored_metrics.value_of, announce=_announce)
    cloudwatch._evaluate_alarm = lambda alarm: _evaluate(alarms, alarm)
    cloudwatch._put_metric_alarm = _keeping_metric_math(cloudwatch._put_metric_alarm, alarms)
    logs = ministack("ministack.services.cloudwatch_logs")
    logs._append_log_events = stored_metrics.with_embedded_metrics(logs._append_log_events)
    provisioners = ministack("ministack.services.cloudformation.provisioners")
    provisioners._cw_metric_alarm_record = _with_metric_math(provisioners._cw_metric_alarm_record)
    actions = ministack("ministack.core.iam_actions")
    actions.extract_resource_arn = stream_of_events(rule_of_targets(actions.extract_resource_arn))
    _join_requests(alarms)
    threading.Thread(target=_evaluate_for_ever, args=(alarms,), name="alarms", daemon=True).start()


def evaluate_account(alarms: Alarms, now: float) -> dict[str, Any]:
    """Measure what is measured by asking, evaluate every alarm as of `now`, and describe them."""
    responses = ministack("ministack.core.responses")
    responses.set_request_account_id(os.environ.get("MINISTACK_ACCOUNT_ID", ACCOUNT_ID))
    responses.set_request_region(os.environ.get("MINISTACK_REGION", DEFAULT_REGION))
    queue_metrics.measure(now)
    described = {}
    for alarm in alarms.evaluate_all(now):
        described[alarm["AlarmName"]] = {"state": alarm["StateValue"], "reason": alarm["StateReason"]}
    return {"alarms": described}


def _announce(alarm: Record, old_state: str, reason: str) -> None:
    """History, actions, and the composite alarms above: what ministack does when a state changes."""
    cloudwatch = ministack("ministack.services.cloudwatch")
    cloudwatch._record_history(alarm["AlarmName"], old_state, alarm["StateValue"], reason)
    cloudwatch._dispatch_alarm_actions(alarm, old_state, alarm["StateValue"], reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _evaluate(alarms: Alarms, alarm: Record) -> None:
    """What ministack calls for an alarm that is put, and for all of them when metrics are put."""
    alarms.evaluate(alarm, time.time())


def _evaluate_for_ever(alarms: Alarms) -> None:
    while True:
        time.sleep(EVALUATION_SECONDS)
        try:
            evaluate_account(alarms, time.time())
        except Exception:
            logger.exception("the alarms could not be evaluated")


def _with_metric_math(
    shipped: Callable[[str, Mapping[str, Any]], Record],
) -> Callable[[str, Mapping[str, Any]], Record]:
    """ministack's record of a template's alarm, which refuses `Metrics`."""

    def record(name: str, properties: Mapping[str, Any]) -> Record:
        metrics = properties.get("Metrics")
        if not metrics:
            return shipped(name, properties)
        plain = {key: value for key, value in properties.items() if key != "Metrics"}
        return _of_metrics(shipped(name, {**plain, "MetricName": "-", "Namespace": "-"}), metrics)

    return record


def _keeping_metric_math(shipped: Callable[..., Answer], alarms: Alarms) -> Callable[..., Answer]:
    """PutMetricAlarm, which drops `Metrics`."""

    def put_metric_alarm(params: Any, data: Mapping[str, Any], *protocol: bool) -> Answer:
        answer = shipped(params, data, *protocol)
        alarm = ministack("ministack.services.cloudwatch")._alarms.get(data.get("AlarmName", ""))
        if answer[0] == 200 and alarm is not None and data.get("Metrics"):
            _evaluate(alarms, _of_metrics(alarm, data["Metrics"]))
        return answer

    return put_metric_alarm


def _of_metrics(alarm: Record, metrics: list[dict[str, Any]]) -> Record:
    """The record with metric math, and without the members that only alarms on one metric have."""
    alarm["Metrics"] = metrics
    for member in ("MetricName", "Namespace", "Statistic", "ExtendedStatistic", "Period", "Unit"):
        alarm.pop(member, None)
    return alarm


def _join_requests(alarms: Alarms) -> None:
    async def handle_request(method: str, path: str, _headers: object, body: bytes, _query: object) -> Answer:
        if (method, path.removeprefix(PREFIX)) != ("POST", "/evaluate"):
            return 404, {"Content-Type": "application/json"}, b'{"message": "There is nothing at this path."}'
        after = float(json.loads(body or b"{}").get("afterSeconds", 0))
        described = await asyncio.to_thread(evaluate_account, alarms, time.time() + after)
        return 200, {"Content-Type": "application/json"}, json.dumps(described).encode()

    join_service(SERVICE, handle_request, (PREFIX,))
