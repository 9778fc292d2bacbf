"""What a handler lets out: errors of the hub, and nothing of what was processed."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from common.errors import AwsCallFailed, HubError, InvalidInput, UnexpectedError
from common.observability import count, lambda_entry

MARK = "Jane-Example-1970"


class Routine(HubError):
    routine = True


Fail = Callable[[Exception], HubError]


@pytest.fixture
def fail(lambda_context: Any) -> Fail:
    """What comes out of a handler that raises the error given."""

    def handler_that_raises(error: Exception) -> HubError:
        def handler(event: Any, context: Any) -> Any:
            raise error

        with pytest.raises(HubError) as caught:
            lambda_entry(handler)({"name": MARK}, lambda_context)
        return caught.value

    return handler_that_raises


def refused(code: str = "AccessDeniedException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": f"{MARK} is not allowed"}}, "PutEvents")


def shown(error: BaseException) -> str:
    """Everything that Lambda could show of an error: its text, and the errors that it came of."""
    return "".join(traceback.format_exception(error))


def test_an_answer_passes(lambda_context: Any) -> None:
    assert lambda_entry(lambda event, context: {"got": event})("event", lambda_context) == {"got": "event"}


def test_an_error_of_the_hub_passes_as_it_is(fail: Fail) -> None:
    error = InvalidInput("The field since is wrong.")
    assert fail(error) is error


def test_a_refused_call_becomes_operation_and_code_without_the_service_s_message(fail: Fail) -> None:
    failure = fail(refused())
    assert type(failure) is AwsCallFailed
    assert str(failure) == "PutEvents was refused with AccessDeniedException."
    assert MARK not in shown(failure)


@pytest.mark.parametrize(
    "error", [EndpointConnectionError(endpoint_url=f"https://{MARK}"), BotoCoreError(name=MARK)]
)
def test_a_call_that_never_got_an_answer_becomes_the_kind_of_failure(
    fail: Fail, error: BotoCoreError
) -> None:
    failure = fail(error)
    assert str(failure) == f"An AWS call failed with {type(error).__name__}."
    assert type(failure) is AwsCallFailed
    assert MARK not in shown(failure)


@pytest.mark.parametrize("error", [ValueError(MARK), KeyError(MARK), RuntimeError({"resource": MARK})])
def test_an_unexpected_error_becomes_its_kind_without_its_text(fail: Fail, error: Exception) -> None:
    failure = fail(error)
    assert type(failure) is UnexpectedError
    assert type(error).__name__ in str(failure)
    assert MARK not in shown(failure)


@pytest.mark.parametrize("error", [ValueError(MARK), refused(), BotoCoreError(name=MARK)])
def test_the_log_says_what_failed_and_where_and_nothing_of_what_was_processed(
    fail: Fail, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    failure = fail(error)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert (vars(record)["error"], vars(record)["reason"]) == (type(failure).__name__, str(failure))
    assert "test_observability.py" in "".join(vars(record)["frames"])
    printed = capsys.readouterr()
    assert MARK not in repr(vars(record)) + printed.out + printed.err


@pytest.mark.parametrize(("error", "level"), [(InvalidInput("no"), "ERROR"), (Routine("no"), "INFO")])
def test_only_what_is_not_routine_is_an_error_in_the_log(
    fail: Fail, caplog: pytest.LogCaptureFixture, error: HubError, level: str
) -> None:
    caplog.set_level("INFO")
    fail(error)
    assert [(record.levelname, record.message) for record in caplog.records] == [(level, "refused")]


def test_counts_of_a_handler_that_fails_are_written_too(
    lambda_context: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    @lambda_entry
    def handler(event: Any, context: Any) -> Any:
        count(RangesProcessed=3)
        raise InvalidInput("no")

    with pytest.raises(InvalidInput):
        handler({}, lambda_context)
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "RangesProcessed" in line]
    assert [line["RangesProcessed"] for line in written] == [[3.0]]
