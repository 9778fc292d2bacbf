"""Mends the callback pattern.

In moto a retried task keeps its token together with the old answer, an answer or heartbeat that comes
before the wait begins is lost, and a token that is over still takes answers. Here every attempt has its own
token, closed when the attempt is over.
AWS documentation: "Wait for a Callback with Task Token" (a new token for each attempt; heartbeats).
"""

from __future__ import annotations

from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import ResourceCondition
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
    StateTaskService,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (  # noqa: E501
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackOutcomeTimedOut

from local.stepfunctions.mending.interruption import woken_by_interruption
from local.stepfunctions.patching import add_method, original, replace
from local.stepfunctions.run_context import run_of
from local.stepfunctions.task_tokens import TaskToken


def _waits_for_token(task: Any) -> bool:
    return (
        task._is_integration_pattern()
        and ResourceCondition.WaitForTaskToken in task._supported_integration_patterns
    )


def _eval_body(self: Any, env: Any) -> None:
    if self._is_integration_pattern():
        self._assert_integration_pattern_is_supported()
    super(StateTaskServiceCallback, self)._eval_body(env=env)
    env.states.context_object.context_object_data.pop("Task", None)


def _eval_execution(self: Any, env: Any) -> None:
    if not _waits_for_token(self):
        StateTaskService._eval_execution(self, env)
        return
    token = env.states.context_object.update_task_token()
    task = TaskToken(token)
    env.callback_pool_manager._pool[token] = task
    run_of(env).announce_token(token, task)
    try:
        with woken_by_interruption(env, task.close, when="left"):
            StateTaskService._eval_execution(self, env)
    finally:
        task.close()


def _eval_wait_for_task_token(
    self: Any,
    env: Any,
    timeout_seconds: int,  # noqa: ARG001 (the state's own timeout closes the token)
    callback_endpoint: Any,
    heartbeat_endpoint: Any,
) -> Any:
    heartbeat_seconds = None
    if heartbeat_endpoint is not None:
        self.heartbeat.eval(env=env)
        heartbeat_seconds = env.stack.pop() * run_of(env).pace.timeouts
    outcome = callback_endpoint.await_outcome(heartbeat_seconds)
    if outcome is None:
        return CallbackOutcomeTimedOut(callback_id=callback_endpoint.callback_id)
    return outcome


def install() -> None:
    """Put the mended behaviour in place."""
    for name in ("_is_integration_pattern", "_assert_integration_pattern_is_supported"):
        original(StateTaskServiceCallback, name)
    original(StateTaskService, "_eval_execution")
    replace(StateTaskServiceCallback, "_eval_body", _eval_body)
    replace(StateTaskServiceCallback, "_eval_wait_for_task_token", _eval_wait_for_task_token)
    add_method(StateTaskServiceCallback, "_eval_execution", _eval_execution)
