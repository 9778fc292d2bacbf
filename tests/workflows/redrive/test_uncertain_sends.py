"""Sends and deletes that fail for a while: one run uses up one try of a message at most."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from common import aws_clients
from local.testing.redrive_hub import RedriveHub

MAX_REDRIVES = 3


def refusal(operation: str, code: str, status: int) -> ClientError:
    """An operation, refused."""
    response: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


class Failing:
    """A client of which one method fails, `times` times."""

    def __init__(self, client: Any, method: str, failure: ClientError, times: int) -> None:
        self.client = client
        self.method = method
        self.failure = failure
        self.left = times
        self.called = 0

    def __getattr__(self, name: str) -> Any:
        return self._call if name == self.method else getattr(self.client, name)

    def _call(self, **request: Any) -> Any:
        self.called += 1
        if self.left:
            self.left -= 1
            raise self.failure
        return getattr(self.client, self.method)(**request)


def error_of(run: Any) -> Any:
    """The error of the one queue of a run that failed."""
    assert run.path[-1] == "Redrive Failed"
    return json.loads(run.cause or "")["queues"][0]["error"]


def test_while_sqs_is_unavailable_a_run_sends_one_message_once(
    redrive: RedriveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a", "b")
    unavailable = refusal("SendMessage", "ServiceUnavailable", 503)
    sqs = Failing(aws_clients.sqs_once(), "send_message", unavailable, times=1)
    monkeypatch.setattr(aws_clients, "sqs_once", lambda: sqs)

    assert error_of(redrive.run({"mode": "counted"})) == "AwsCallFailed"
    assert sqs.called == 1

    assert redrive.run({"mode": "counted"}).path[-1] == "Redriven"
    assert (set(redrive.bodies(work)), redrive.quarantined()) == ({"a", "b"}, [])


def test_what_was_sent_and_cannot_be_deleted_is_sent_once_in_a_run(
    redrive: RedriveHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    throttled = refusal("DeleteMessage", "ThrottlingException", 400)
    sqs = Failing(aws_clients.sqs(), "delete_message", throttled, times=MAX_REDRIVES)
    monkeypatch.setattr(aws_clients, "sqs", lambda: sqs)

    assert error_of(redrive.run({"mode": "counted"})) == "NotDeleted"
    assert (redrive.bodies(work), redrive.bodies(dead), redrive.quarantined()) == (["a"], ["a"], [])


def test_a_question_that_fails_in_every_run_has_nothing_quarantined(redrive: RedriveHub) -> None:
    dead = redrive.queue("dead", kind="async")
    function = redrive.bindings.function("f")
    invocation = {"requestContext": {"functionArn": f"{function}:$LATEST"}, "requestPayload": {"a": 1}}
    redrive.send(dead, [json.dumps(invocation)])
    functions, ask = redrive.bindings.functions, "get_function_event_invoke_config"
    failing = Failing(
        functions, ask, refusal("GetFunctionEventInvokeConfig", "ServiceException", 500), MAX_REDRIVES + 1
    )
    redrive.bindings.functions = failing  # type: ignore[assignment]

    for _ in range(MAX_REDRIVES + 1):
        assert error_of(redrive.run()) == "AwsCallFailed"
        redrive.show(dead)
    assert (len(redrive.bodies(dead)), redrive.quarantined()) == (1, [])
