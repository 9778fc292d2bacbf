"""Joins the engine to ministack: its store keeps the state machines, the engine runs their executions.

Everything inside ministack that starts an execution (the API, event rule targets, schedules, pipes) goes
through the function that is replaced here, so all of it runs on the engine.
"""

from __future__ import annotations

import contextvars
import json
import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from local.account.ministack_names import ministack
from local.account.role_sessions import role_session
from local.stepfunctions import api, execution_metrics
from local.stepfunctions.definition_check import findings
from local.stepfunctions.engine import Engine
from local.stepfunctions.errors import StepFunctionsError
from local.stepfunctions.execution import Execution, StateMachine
from local.stepfunctions.mending import service_clients
from local.stepfunctions.pace import Pace
from local.stepfunctions.patching import original, replace
from local.stepfunctions.role_clients import RoleClients
from local.stepfunctions.status_events import DETAIL_TYPE, SOURCE, status_change_detail

logger = logging.getLogger("local.stepfunctions")

FORWARDED: Mapping[str, str] = {
    "_start_execution": "StartExecution",
    "_start_sync_execution": "StartSyncExecution",
    "_stop_execution": "StopExecution",
    "_describe_execution": "DescribeExecution",
    "_list_executions": "ListExecutions",
    "_get_execution_history": "GetExecutionHistory",
    "_describe_state_machine_for_execution": "DescribeStateMachineForExecution",
    "_list_map_runs": "ListMapRuns",
    "_describe_map_run": "DescribeMapRun",
    "_update_map_run": "UpdateMapRun",
    "_send_task_success": "SendTaskSuccess",
    "_send_task_failure": "SendTaskFailure",
    "_send_task_heartbeat": "SendTaskHeartbeat",
}
"""Functions of ministack's Step Functions, and the action of the engine that stands in for each."""

REQUIRED_NAMES: Mapping[str, tuple[str, ...]] = {
    "ministack.services.stepfunctions": (
        *FORWARDED,
        "handle_request",
        "reset",
        "_create_state_machine",
        "_update_state_machine",
        "_state_machines",
        "_resolve_state_machine_arn",
    ),
    "ministack.services.eventbridge": ("_put_events",),
    "ministack.core.iam_actions": ("extract_resource_arn",),
    "ministack.core.responses": ("set_request_account_id", "set_request_region"),
}
"""ministack's private names that are used here, by module."""


def register(port: int) -> None:
    """Let the engine run the executions of the account that is served on the port.

    Raises PrivateNameMissingError when ministack lacks one of `REQUIRED_NAMES`.
    """
    for module, names in REQUIRED_NAMES.items():
        for name in names:
            original(ministack(module), name, "ministack")
    states = ministack("ministack.services.stepfunctions")
    events = StatusEvents()
    engine = Engine(_finder(states), pace=_pace(os.environ), on_status_change=events.put)
    clients = RoleClients(f"http://127.0.0.1:{port}", _role_credentials)
    service_clients.use(clients)
    for function, action in FORWARDED.items():
        replace(states, function, _forwarding(engine, action), "ministack")
    for function in ("_create_state_machine", "_update_state_machine"):
        replace(states, function, _checking(original(states, function, "ministack")), "ministack")
    replace(states, "handle_request", _with_redrive(engine, original(states, "handle_request")), "ministack")
    actions = ministack("ministack.core.iam_actions")
    resource_of = original(actions, "extract_resource_arn", "ministack")
    replace(actions, "extract_resource_arn", _with_callbacks(engine, resource_of), "ministack")
    replace(states, "reset", _resetting(engine, clients, original(states, "reset")), "ministack")
    events.start()


def _forwarding(engine: Engine, action: str) -> Callable[[Mapping[str, Any]], api.Answer]:
    def forward(data: Mapping[str, Any]) -> api.Answer:
        return api.handle(engine, action, data)

    return forward


def _checking(shipped: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def check(data: Mapping[str, Any]) -> Any:
        found = findings(data["definition"]) if data.get("definition") else []
        if found:
            message = f"Invalid State Machine Definition: '{'; '.join(found)}'"
            return api.refused(StepFunctionsError("InvalidDefinition", message))
        return shipped(data)

    return check


def _with_redrive(engine: Engine, shipped: Callable[..., Any]) -> Callable[..., Any]:
    async def handle_request(method: Any, path: Any, headers: Any, body: Any, query_params: Any) -> Any:
        if headers.get("x-amz-target", "").endswith(".RedriveExecution"):
            return api.handle(engine, "RedriveExecution", json.loads(body or b"{}"))
        return await shipped(method, path, headers, body, query_params)

    return handle_request


def _with_callbacks(engine: Engine, shipped: Callable[..., str]) -> Callable[..., str]:
    """What the permission to call back is asked for: the state machine whose task has the token.

    AWS documentation: Service Authorization Reference, «Actions, resources, and condition keys for AWS Step
    Functions»; the SAM policy template StepFunctionsCallbackPolicy grants it so.
    """

    def resource_arn(service: str, method: str, path: str, headers: Any, body: bytes, *rest: Any) -> str:
        if service == "states" and ".SendTask" in headers.get("x-amz-target", ""):
            try:
                token = json.loads(body or b"{}").get("taskToken", "")
            except ValueError:
                token = ""
            return engine.state_machine_of_task(token) or "*"
        return shipped(service, method, path, headers, body, *rest)

    return resource_arn


def _resetting(engine: Engine, clients: RoleClients, shipped: Callable[[], Any]) -> Callable[[], Any]:
    def reset() -> Any:
        engine.close()
        clients.forget()
        return shipped()

    return reset


def _finder(states: Any) -> Callable[[str], StateMachine | None]:
    def find(arn: str) -> StateMachine | None:
        stored = states._state_machines.get(states._resolve_state_machine_arn(arn))
        if stored is None:
            return None
        return StateMachine(
            arn=stored["stateMachineArn"],
            name=stored["name"],
            definition=stored["definition"],
            role_arn=stored["roleArn"],
            type=stored.get("type") or "STANDARD",
            encrypted=_is_encrypted(stored),
        )

    return find


def _is_encrypted(stored: Mapping[str, Any]) -> bool:
    configuration = stored.get("encryptionConfiguration") or {}
    return configuration.get("type") == "CUSTOMER_MANAGED_KMS_KEY"


def _pace(environment: Mapping[str, str]) -> Pace:
    """ministack's own variable for shorter waits is honoured."""
    return Pace(delays=float(environment.get("SFN_WAIT_SCALE", "1")))


def _role_credentials(role_arn: str, region: str) -> Mapping[str, str]:
    return role_session("states", role_arn, region, account_id=role_arn.split(":")[4])


class StatusEvents:
    """Puts status changes on the default bus, in their order, in a thread that nobody waits for."""

    def __init__(self) -> None:
        self._changes: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()

    def start(self) -> None:
        """Begin to put them."""
        threading.Thread(target=self._put_all, name="states-status-events", daemon=True).start()

    def put(self, execution: Execution) -> None:
        """Announce the execution's status as it is now. Express executions announce nothing."""
        if execution.state_machine.type == "STANDARD":
            self._changes.put((execution.arn, status_change_detail(execution)))

    def _put_all(self) -> None:
        while True:
            arn, detail = self._changes.get()
            try:
                contextvars.copy_context().run(_put_on_bus, arn, detail)
            except Exception:
                # Status events are best effort on AWS, too.
                logger.exception("a status change could not be put on the bus")


def _put_on_bus(arn: str, detail: Mapping[str, Any]) -> None:
    region, account = arn.split(":")[3:5]
    responses = ministack("ministack.core.responses")
    responses.set_request_account_id(account)
    responses.set_request_region(region)
    execution_metrics.put(detail)
    entry = {
        "Source": SOURCE,
        "DetailType": DETAIL_TYPE,
        "Detail": json.dumps(detail),
        "Resources": [arn],
    }
    ministack("ministack.services.eventbridge")._put_events({"Entries": [entry]}, allow_aws_source=True)
