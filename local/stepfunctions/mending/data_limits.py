"""Mends where data over 256 KiB goes unnoticed: what a task is given, and all results of a map together.

moto looks at the result of a task and at the output of a state only, so that parameters of any size reach a
service, and a map whose results are dropped (`"ResultPath": null`) may have results of any size.
AWS documentation: "Handling errors in Step Functions workflows" (States.DataLimitExceeded), "Using Map state
in Distributed mode" (without a ResultWriter the results are the state's output).
"""

from __future__ import annotations

from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task import StateTask
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import StateTaskLambda
from moto.stepfunctions.parser.quotas import is_within_size_quota

from local.stepfunctions.mending.failures import task_failure
from local.stepfunctions.patching import original, replace

_EXCEEDED = "States.DataLimitExceeded"


def assert_within_limit(env: Any, name: str, value: Any) -> None:
    """Raises the failure States.DataLimitExceeded for a value of more than 256 KiB as JSON."""
    if is_within_size_quota(value):
        return
    cause = (
        f"The state/task '{name}' has data with a size exceeding the maximum number of bytes service limit."
    )
    raise task_failure(env, _EXCEEDED, cause)


def _limited_parameters(owner: type) -> Any:
    shipped = original(owner, "_eval_parameters")

    def eval_parameters(self: Any, env: Any) -> Any:
        parameters = shipped(self, env)
        assert_within_limit(env, self.name, parameters)
        return parameters

    return eval_parameters


def _limited_results(shipped: Any) -> Any:
    def eval_execution(self: Any, env: Any) -> None:
        shipped(self, env)
        assert_within_limit(env, self.name, env.stack[-1])

    return eval_execution


def install() -> None:
    """Put the mended behaviour in place; after the mending of what it limits."""
    for owner in (StateTask, StateTaskLambda):
        replace(owner, "_eval_parameters", _limited_parameters(owner))
    replace(StateMap, "_eval_execution", _limited_results(StateMap._eval_execution))
