"""SQS failing at each call that a redrive makes: throttled, denied, the queue deleted, its key denied."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local.testing.redrive_hub import RedriveHub

REFUSALS = {
    "throttled": ("RequestThrottled", 403),
    "denied": ("AccessDenied", 403),
    "deleted": ("AWS.SimpleQueueService.NonExistentQueue", 400),
    "key denied": ("KmsAccessDenied", 400),
}
NAMES = {
    "throttled": "RedriveThrottled",
    "denied": "RedriveDenied",
    "deleted": "QueueGone",
    "key denied": "KeyDenied",
}
OF_THE_PLAN = ("ListQueues", "ListQueueTags", "GetQueueAttributes", "ReceiveMessage")
OF_THE_REDRIVE = ("ReceiveMessage", "SendMessage", "DeleteMessage")
OF_THE_STATES = ("ListMessageMoveTasks", "StartMessageMoveTask", "GetQueueAttributes")


class Refusing:
    """Refuses an operation of SQS from the moment on that the run has entered a state; `times` at most."""

    def __init__(self, operation: str, code: str, status: int) -> None:
        self.operation = operation
        self.code = code
        self.status = status
        self.times = 10**9
        self.on = False

    def __enter__(self) -> Refusing:
        make_call = BaseClient._make_api_call  # type: ignore[attr-defined]

        def call(client: Any, operation: str, request: Any) -> Any:
            if self.on and operation == self.operation and self.times > 0:
                self.times -= 1
                raise self._error(client, operation)
            return make_call(client, operation, request)

        self._patch = patch.object(BaseClient, "_make_api_call", call)
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def _error(self, client: Any, operation: str) -> ClientError:
        kind = client.exceptions.from_code(self.code)
        words: Any = {"Code": self.code, "Message": "MARKED words"}
        metadata: Any = {"HTTPStatusCode": self.status, "RequestId": "0"}
        error: ClientError = kind({"Error": words, "ResponseMetadata": metadata}, operation)
        return error


def refusing_in(redrive: RedriveHub, function: str, refusing: Refusing) -> None:
    """Refuse during the calls of one function, and not before or after."""
    handler = redrive.bench.functions[function]

    def refused(event: Any, context: Any) -> Any:
        refusing.on = True
        try:
            return handler(event, context)
        finally:
            refusing.on = False

    redrive.bench.functions[function] = refused


@pytest.mark.parametrize("why", REFUSALS)
@pytest.mark.parametrize("operation", OF_THE_PLAN)
def test_a_refusal_while_planning_ends_the_redrive_by_its_name(
    redrive: RedriveHub, operation: str, why: str
) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")

    with Refusing(operation, *REFUSALS[why]) as refusing:
        refusing_in(redrive, "PlanRedriveFunction", refusing)
        run = redrive.run()

    assert (run.path[-1], run.error) == ("Redrive Not Planned", "RedriveNotPlanned")
    assert json.loads(run.cause or "")["Error"] == NAMES[why]
    assert operation in (run.cause or "")
    assert (redrive.bodies(dead), redrive.lock(dead)) == (["a"], {})


@pytest.mark.parametrize("why", REFUSALS)
@pytest.mark.parametrize("operation", OF_THE_REDRIVE)
def test_a_refusal_while_messages_are_counted_fails_that_queue_and_loses_nothing(
    redrive: RedriveHub, operation: str, why: str
) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")

    with Refusing(operation, *REFUSALS[why]) as refusing:
        refusing_in(redrive, "RedriveMessagesFunction", refusing)
        run = redrive.run({"mode": "counted"})

    assert (run.path[-1], run.error) == ("Redrive Failed", "RedriveFailed")
    (queue,) = json.loads(run.cause or "")["queues"]
    assert queue["error"] == ("NotDeleted" if operation == "DeleteMessage" else NAMES[why])
    assert redrive.bodies(dead) == ["a"]
    assert "owner" not in redrive.lock(dead)


@pytest.mark.parametrize("operation", ["ReceiveMessage", "SendMessage"])
def test_a_throttled_call_that_has_sent_nothing_goes_on_once_it_is_taken(
    redrive: RedriveHub, operation: str
) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b", "c")

    with Refusing(operation, *REFUSALS["throttled"]) as refusing:
        refusing.times = 2
        refusing_in(redrive, "RedriveMessagesFunction", refusing)
        run = redrive.run({"mode": "counted"})

    assert run.path[-1] == "Redriven"
    assert redrive.bodies(dead) == []
    assert set(redrive.bodies(work)) == {"a", "b", "c"}


@pytest.mark.parametrize("why", REFUSALS)
@pytest.mark.parametrize("operation", OF_THE_STATES)
def test_a_refusal_of_the_state_machine_fails_that_queue_and_loses_nothing(
    redrive: RedriveHub, operation: str, why: str
) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    handler = redrive.bench.functions["PlanRedriveFunction"]

    with Refusing(operation, *REFUSALS[why]) as refusing:

        def then_refuse(event: Any, context: Any) -> Any:
            planned = handler(event, context)
            refusing.on = True
            return planned

        redrive.bench.functions["PlanRedriveFunction"] = then_refuse
        run = redrive.run()
        refusing.on = False

    assert (run.path[-1], run.error) == ("Redrive Failed", "RedriveFailed")
    assert len(redrive.bodies(dead)) + len(redrive.bodies(work)) == 1
    assert "owner" not in redrive.lock(dead)


def test_a_queue_that_is_deleted_after_the_plan_is_a_failure(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a")
    handler = redrive.bench.functions["PlanRedriveFunction"]

    def then_delete(event: Any, context: Any) -> Any:
        planned = handler(event, context)
        redrive.sqs.delete_queue(QueueUrl=dead.url)
        return planned

    redrive.bench.functions["PlanRedriveFunction"] = then_delete

    assert redrive.run().path[-1] == "Redrive Failed"
