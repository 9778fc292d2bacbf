"""Mends how error names are matched and made.

moto lets States.ALL catch States.DataLimitExceeded and States.Runtime, does not know
States.HeartbeatTimeout, and breaks on a reserved error name that comes out of a Parallel branch, a map
iteration, a task's callback or a Fail state's ErrorPath.
AWS documentation: "Handling errors in Step Functions workflows" (Error names).
"""

from __future__ import annotations

from typing import Any

from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import ErrorEqualsDecl
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration import iteration_worker
from moto.stepfunctions.parser.asl.component.state.exec.state_parallel import branches_decl
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_callback,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
from moto.stepfunctions.parser.asl.component.state.fail import state_fail
from moto.stepfunctions.parser.asl.eval.callback.callback import HeartbeatTimeoutError

from local.stepfunctions.patching import original, replace

_TERMINAL = ("States.DataLimitExceeded", "States.Runtime")
_HEARTBEAT = "States.HeartbeatTimeout"


class MissedHeartbeat(StatesErrorName):  # type: ignore[misc]
    """A missed heartbeat: reported as States.Timeout, caught as that or States.HeartbeatTimeout."""

    def __init__(self) -> None:
        super().__init__(typ=StatesErrorNameType.StatesTimeout)


def named_error(error_name: str | None) -> Any:
    """The error name as the engine compares it: reserved when it begins with `States.`."""
    if error_name is not None and error_name.startswith("States."):
        try:
            return StatesErrorName.from_name(error_name)
        except ValueError:
            return ErrorName(error_name=error_name)
    return CustomErrorName(error_name=error_name)


def _matches(wanted: str, error: Any) -> bool:
    name = error.error_name if error is not None else None
    if wanted == "States.ALL":
        return name not in _TERMINAL
    if wanted == "States.TaskFailed":
        return not isinstance(error, StatesErrorName) or name == wanted
    if wanted == _HEARTBEAT:
        return isinstance(error, MissedHeartbeat) or name == wanted
    return name == wanted


def _error_equals(self: Any, env: Any) -> None:
    error = env.stack.pop()
    env.stack.append(any(_matches(name.error_name, error) for name in self.error_names))


def _from_task_error(self: Any, env: Any, ex: Exception) -> Any:
    if not isinstance(ex, HeartbeatTimeoutError):
        return original(StateTask, "_from_error")(self, env=env, ex=ex)
    event = self._get_timed_out_failure_event(env)
    return FailureEvent(
        env=env, error_name=MissedHeartbeat(), event_type=event.event_type, event_details=event.event_details
    )


def install() -> None:
    """Put the mended behaviour in place."""
    replace(ErrorEqualsDecl, "_eval_body", _error_equals)
    replace(StateTask, "_from_error", _from_task_error)
    for module in (branches_decl, iteration_worker, state_task_service_callback, state_fail):
        original(module, "CustomErrorName")
        module.CustomErrorName = named_error
