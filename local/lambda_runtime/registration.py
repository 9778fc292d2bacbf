"""Joins the error types of AWS Lambda to ministack's function workers.

ministack answers for every failed function with errorType `Runtime.HandlerError`. Step Functions retries and
catches by error type, so a workflow is only tested when they are those of AWS.
"""

import json
from contextvars import ContextVar
from functools import partial
from typing import Any

from local.account.ministack_names import ministack
from local.lambda_runtime import deaths, notifications
from local.lambda_runtime.call_metrics import counting, of_throttled_calls
from local.lambda_runtime.deaths import dying
from local.lambda_runtime.error_payloads import Payload, exited, timed_out
from local.lambda_runtime.failure_destinations import asking_the_role
from local.lambda_runtime.invoke_configs import of_the_latest_version, with_actions_of_invoke_configs
from local.lambda_runtime.log_ends import worker_with_log_ends
from local.lambda_runtime.log_events import with_event_ids
from local.lambda_runtime.unpacked_archives import ARCHIVES, linking
from local.lambda_runtime.worker_script import with_aws_error_types

# The failure of the call that this thread is making, for the answer that ministack builds after it.
_failure: ContextVar[Payload | None] = ContextVar("lambda_failure", default=None)

INIT_FAILED = "Worker init failed: "
EXITED_AT_INIT = "Worker process exited immediately"


def register() -> None:
    """Replace the worker script and the places that describe a failure; raises when one has changed."""
    runtime = ministack("ministack.core.lambda_runtime")
    service = ministack("ministack.services.lambda_svc")
    runtime._PYTHON_WORKER_SCRIPT = with_aws_error_types(runtime._PYTHON_WORKER_SCRIPT)
    runtime.Worker = worker_with_failures(worker_with_log_ends(runtime.Worker))
    service._execute_function_warm = answering_with_failures(service._execute_function_warm)
    service._execute_function_dispatch = counting(
        service._execute_function_dispatch, service._emit_lambda_metrics
    )
    service._emit_lambda_metrics = of_throttled_calls(service._emit_lambda_metrics)
    logs = ministack("ministack.services.cloudwatch_logs")
    logs._append_log_events = with_event_ids(logs._append_log_events)
    service._route_async_failure = asking_the_role(service)
    service._event_invoke_config = of_the_latest_version(service._event_invoke_config)
    actions = ministack("ministack.core.iam_actions")
    actions.extract_iam_action = with_actions_of_invoke_configs(actions.extract_iam_action)
    deaths.register()
    notifications.register()
    resolve_layer = service._resolve_layer_zip
    service._resolve_layer_zip = lambda layer: _reference_or_none(resolve_layer(layer))
    runtime.zipfile = linking


def worker_with_failures(base: type[Any]) -> type[Any]:
    """The worker class, which leaves the payload of a failed call for the answer.

    A handler that raises keeps its process, as on AWS: the next call finds the environment warm.
    """

    class FailureDescribingWorker(base):  # type: ignore[misc]
        def __init__(self, func_name: str, config: dict[str, Any], code_zip: bytes) -> None:
            python = str(config.get("Runtime", "")).startswith("python")
            super().__init__(func_name, config, ARCHIVES.reference(code_zip) if python else code_zip)

        def _spawn(self) -> None:
            super()._spawn()
            self._spawned = self._proc

        def invoke(self, event: object, request_id: str, **context: Any) -> dict[str, Any]:
            call = partial(super().invoke, event, request_id, **context)
            end = partial(kill, self)
            try:
                answer: dict[str, Any] = dying(self.func_name, event, request_id, call, end)
            except RuntimeError as error:
                failure = init_failure(str(error), request_id, exit_status(self._proc))
                if failure is None:
                    raise
                answer = {"log": self._drain_stderr(), "trace": log_line(failure)}
            else:
                failure = answer.pop("failure", None)
                if failure is None and answer.get("status") == "ok":
                    return answer
                if failure is not None:
                    answer["trace"] = ""  # the worker has written it to the log
                else:
                    failure = unanswered(answer, request_id, self.config, exit_status(self._spawned))
                    answer["trace"] = log_line(failure)
            _failure.set(failure)
            return answer | {"status": "error", "error": failure["errorMessage"]}

    return FailureDescribingWorker


def answering_with_failures(execute: Any) -> Any:
    """ministack's function for calls to warm workers, with the payload of AWS as the body of a failure."""

    def execute_function_warm(func: dict[str, Any], event: object, request_id: str) -> dict[str, Any]:
        token = _failure.set(None)
        try:
            answer: dict[str, Any] = execute(func, event, request_id)
            failure = _failure.get()
        finally:
            _failure.reset(token)
        if failure is not None and answer.get("error"):
            answer["body"] = failure
        return answer

    return execute_function_warm


def init_failure(message: str, request_id: str, status: int | None) -> Payload | None:
    """The payload for a worker that did not get ready, or None if the message is not about that."""
    if message.startswith(INIT_FAILED):
        payload: Payload = json.loads(message.removeprefix(INIT_FAILED))
        return payload
    if message.startswith(EXITED_AT_INIT):
        return exited(request_id, status)
    return None


def unanswered(
    answer: dict[str, Any], request_id: str, config: dict[str, Any], status: int | None
) -> Payload:
    """The payload for a call that the worker's process did not answer."""
    if str(answer.get("error", "")).startswith("Task timed out"):
        return timed_out(request_id, float(config.get("Timeout", 3)))
    return exited(request_id, status)


def log_line(failure: Payload) -> str:
    """What the function's log says of a failure that its own code did not raise."""
    return f"[ERROR] {failure['errorType']}: {failure['errorMessage']}"


def kill(worker: Any) -> None:
    """End a worker's process on the spot, if it has one."""
    if worker._proc is not None:
        worker._proc.kill()


def exit_status(process: Any) -> int | None:
    """The exit status of a process that is ending or has ended, None while it runs."""
    if process is None:
        return None
    try:
        status: int = process.wait(timeout=1)
    except Exception:
        return None
    return status


def _reference_or_none(archive: bytes | None) -> bytes | None:
    return ARCHIVES.reference(archive) if archive else archive
