"""The execution part of the Step Functions API: requests and answers as they travel, on top of the engine.

AWS documentation: Step Functions API reference.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any

from local.stepfunctions import redrive
from local.stepfunctions.engine import Engine
from local.stepfunctions.errors import StepFunctionsError, validation_error
from local.stepfunctions.execution import Execution
from local.stepfunctions.mending.map_redrive import redrive_counts

Answer = tuple[int, dict[str, str], bytes]
Request = Mapping[str, Any]

_HEADERS = {"Content-Type": "application/x-amz-json-1.0"}


def handle(engine: Engine, action: str, request: Request) -> Answer:
    """Carry out an action of `ACTIONS`; a refusal is an answer with its code and message."""
    try:
        body = ACTIONS[action](engine, request)
    except StepFunctionsError as refusal:
        return refused(refusal)
    return 200, dict(_HEADERS), json.dumps(body, default=_seconds, ensure_ascii=False).encode()


def refused(refusal: StepFunctionsError) -> Answer:
    """The answer that tells a client why its request was refused."""
    body = {"__type": refusal.code, "message": refusal.message}
    headers = {**_HEADERS, "x-amzn-ErrorType": refusal.code}
    return 400, headers, json.dumps(body).encode()


def _seconds(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} is no part of an answer")


def _required(request: Request, name: str) -> Any:
    if request.get(name) in (None, ""):
        raise validation_error(
            f"1 validation error detected: Value null at '{name}' failed to satisfy constraint: "
            "Member must not be null"
        )
    return request[name]


def _start_execution(engine: Engine, request: Request) -> dict[str, Any]:
    execution = engine.start(_required(request, "stateMachineArn"), request.get("name"), request.get("input"))
    return {"executionArn": execution.arn, "startDate": execution.start_date}


def _start_sync_execution(engine: Engine, request: Request) -> dict[str, Any]:
    if engine.state_machine(_required(request, "stateMachineArn")).type != "EXPRESS":
        message = "This operation is not supported by this type of state machine"
        raise StepFunctionsError("StateMachineTypeNotSupported", message)
    execution = engine.start(_required(request, "stateMachineArn"), request.get("name"), request.get("input"))
    execution.finish()
    return {**_describe(execution), "billingDetails": {}}


def _stop_execution(engine: Engine, request: Request) -> dict[str, Any]:
    arn = _required(request, "executionArn")
    execution = engine.stop(arn, request.get("error"), request.get("cause"))
    return {"stopDate": execution.stop_date}


def _describe_execution(engine: Engine, request: Request) -> dict[str, Any]:
    return _describe(engine.execution(_required(request, "executionArn")))


def _describe(execution: Execution) -> dict[str, Any]:
    answer: dict[str, Any] = {
        **_list_item(execution),
        "input": execution.input_text,
        "inputDetails": {"included": True},
        **redrive.description(execution, datetime.datetime.now(tz=datetime.UTC)),
    }
    if execution.status == "SUCCEEDED":
        answer.update(output=execution.output_text, outputDetails={"included": True})
    if execution.error is not None:
        answer["error"] = execution.error
    if execution.cause is not None:
        answer["cause"] = execution.cause
    return answer


def _list_item(execution: Execution) -> dict[str, Any]:
    item: dict[str, Any] = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.state_machine.arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.start_date,
        **redrive.counts(execution),
    }
    if execution.stop_date is not None:
        item["stopDate"] = execution.stop_date
    if execution.map_run_arn is not None:
        item["mapRunArn"] = execution.map_run_arn
    return item


def _list_executions(engine: Engine, request: Request) -> dict[str, Any]:
    machine, map_run = request.get("stateMachineArn"), request.get("mapRunArn")
    if bool(machine) == bool(map_run):
        raise validation_error("Must provide exactly one of a StateMachine ARN and a MapRun ARN")
    if map_run:
        engine.map_run(map_run)
        found = [e for e in engine.executions() if e.map_run_arn == map_run]
    else:
        engine.state_machine(str(machine))
        found = [e for e in engine.executions() if e.state_machine.arn == machine and e.map_run_arn is None]
    if request.get("redriveFilter"):
        found = _filtered_by_redrive(found, request)
    status = request.get("statusFilter")
    items = [_list_item(e) for e in found if status in (None, e.status)]
    page, token = _page(items, request, default=100, key="executionArn")
    return {"executions": page, **token}


def _filtered_by_redrive(executions: list[Execution], request: Request) -> list[Execution]:
    if not request.get("mapRunArn"):
        raise validation_error("redriveFilter is only supported with a MapRun ARN")
    redriven = request["redriveFilter"] == "REDRIVEN"
    return [execution for execution in executions if (execution.redrive_count > 0) is redriven]


def _get_execution_history(engine: Engine, request: Request) -> dict[str, Any]:
    events = engine.execution(_required(request, "executionArn")).events
    if request.get("reverseOrder"):
        events.reverse()
    page, token = _page(events, request, default=100, key="id")
    return {"events": [_event(event, request.get("includeExecutionData", True)) for event in page], **token}


def _event(event: dict[str, Any], with_data: bool) -> dict[str, Any]:
    shown = {key: value for key, value in event.items() if value is not None}
    shown["timestamp"] = datetime.datetime.fromisoformat(event["timestamp"])
    if not with_data:
        for key, details in shown.items():
            if key.endswith("EventDetails"):
                shown[key] = {k: v for k, v in details.items() if k not in ("input", "output")}
    return shown


def _page(
    items: list[dict[str, Any]], request: Request, *, default: int, key: str
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    size = request.get("maxResults") or default
    if not isinstance(size, int) or not 0 < size <= 1000:
        raise validation_error("maxResults must be between 0 and 1000")
    start = 0
    if request.get("nextToken"):
        last = _last_of(request["nextToken"])
        keys = [str(item[key]) for item in items]
        if last not in keys:
            raise StepFunctionsError("InvalidToken", "Invalid Token: 'Invalid token'")
        start = keys.index(last) + 1
    page = items[start : start + size]
    if start + size >= len(items):
        return page, {}
    return page, {"nextToken": base64.urlsafe_b64encode(str(page[-1][key]).encode()).decode()}


def _last_of(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise StepFunctionsError("InvalidToken", "Invalid Token: 'Invalid token'") from None


def _describe_state_machine_for_execution(engine: Engine, request: Request) -> dict[str, Any]:
    execution = engine.execution(_required(request, "executionArn"))
    machine = execution.state_machine
    return {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "definition": machine.definition,
        "roleArn": machine.role_arn,
        "updateDate": execution.start_date,
    }


def _list_map_runs(engine: Engine, request: Request) -> dict[str, Any]:
    records = engine.execution(_required(request, "executionArn")).map_runs
    return {"mapRuns": [_dated(record.list_item()) for record in records]}


def _describe_map_run(engine: Engine, request: Request) -> dict[str, Any]:
    record = engine.map_run(_required(request, "mapRunArn"))
    return _dated({**record.describe(), **redrive_counts(record)})


def _dated(answer: Mapping[str, Any]) -> dict[str, Any]:
    dates = {
        key: datetime.datetime.fromisoformat(value) for key, value in answer.items() if key.endswith("Date")
    }
    return {**answer, **dates}


def _update_map_run(engine: Engine, request: Request) -> dict[str, Any]:
    engine.map_run(_required(request, "mapRunArn")).update(
        max_concurrency=request.get("maxConcurrency"),
        tolerated_failure_count=request.get("toleratedFailureCount"),
        tolerated_failure_percentage=request.get("toleratedFailurePercentage"),
    )
    return {}


def _send_task_success(engine: Engine, request: Request) -> dict[str, Any]:
    engine.succeed_task(_required(request, "taskToken"), _required(request, "output"))
    return {}


def _send_task_failure(engine: Engine, request: Request) -> dict[str, Any]:
    engine.fail_task(_required(request, "taskToken"), request.get("error"), request.get("cause"))
    return {}


def _send_task_heartbeat(engine: Engine, request: Request) -> dict[str, Any]:
    engine.beat_task(_required(request, "taskToken"))
    return {}


def _redrive_execution(engine: Engine, request: Request) -> dict[str, Any]:
    return {"redriveDate": engine.redrive(_required(request, "executionArn"), request.get("clientToken"))}


ACTIONS: dict[str, Callable[[Engine, Request], dict[str, Any]]] = {
    "StartExecution": _start_execution,
    "StartSyncExecution": _start_sync_execution,
    "StopExecution": _stop_execution,
    "DescribeExecution": _describe_execution,
    "ListExecutions": _list_executions,
    "GetExecutionHistory": _get_execution_history,
    "DescribeStateMachineForExecution": _describe_state_machine_for_execution,
    "ListMapRuns": _list_map_runs,
    "DescribeMapRun": _describe_map_run,
    "UpdateMapRun": _update_map_run,
    "SendTaskSuccess": _send_task_success,
    "SendTaskFailure": _send_task_failure,
    "SendTaskHeartbeat": _send_task_heartbeat,
    "RedriveExecution": _redrive_execution,
}
