"""Lambda's error payloads, and the worker script they come from."""

import pytest

from local.account.ministack_names import ministack
from local.lambda_runtime.error_payloads import exited, timed_out
from local.lambda_runtime.registration import init_failure, unanswered
from local.lambda_runtime.worker_script import REPLACEMENTS, WorkerScriptChanged, with_aws_error_types


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (3, "RequestId: id Error: Runtime exited with error: exit status 3"),
        (0, "RequestId: id Error: Runtime exited without providing a reason"),
        (None, "RequestId: id Error: Runtime exited without providing a reason"),
        (-9, "RequestId: id Error: Runtime exited with error: signal: killed"),
    ],
)
def test_an_exit_says_how_the_process_ended(status: int | None, message: str) -> None:
    assert exited("id", status) == {"errorType": "Runtime.ExitError", "errorMessage": message}


def test_a_timeout_says_after_how_many_seconds() -> None:
    assert timed_out("id", 3)["errorMessage"] == "RequestId: id Error: Task timed out after 3.00 seconds"


def test_a_call_past_its_timeout_is_not_taken_for_an_exit() -> None:
    answer = {"status": "error", "error": "Task timed out after 2.00 seconds"}

    assert unanswered(answer, "id", {"Timeout": 2}, -15)["errorType"] == "Sandbox.Timedout"


def test_a_worker_that_is_not_ready_hands_on_the_payload_of_its_failure() -> None:
    message = 'Worker init failed: {"errorType": "Runtime.ImportModuleError"}'

    assert init_failure(message, "id", None) == {"errorType": "Runtime.ImportModuleError"}


def test_another_error_of_the_account_is_not_made_the_functions() -> None:
    assert init_failure("Failed to extract layer", "id", None) is None


@pytest.mark.parametrize("original", [original for original, _ in REPLACEMENTS])
def test_a_worker_script_that_lacks_a_replaced_text_is_refused(original: str) -> None:
    script = ministack("ministack.core.lambda_runtime")._PYTHON_WORKER_SCRIPT

    with pytest.raises(WorkerScriptChanged, match="make setup"):
        with_aws_error_types(script.replace(original, ""))


def test_the_changed_worker_script_is_python() -> None:
    script = ministack("ministack.core.lambda_runtime")._PYTHON_WORKER_SCRIPT

    assert "run" in compile(with_aws_error_types(script), "worker", "exec").co_names
