"""What has to happen for a permission of the redrive workflow to be needed.

As in `scenarios`, but every dead letter is put into its queue by hand, as the service that would send it
there writes it. What is sent back to a queue goes to one of the soak's own, where no run of the export meets
it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator, Mapping
from typing import Any

from local.soak.permissions.dead_letters import DeadLetters
from local.soak.permissions.stage import Stage

RedriveScenario = Callable[[Stage], Generator[None, None, str]]

_QUEUE, _BUS_QUEUE = "StartExportDeadLetterQueue", "EventBusDeadLetterQueue"
_FUNCTION_QUEUE, _SCHEDULE_QUEUE = "CleanUpDeadLetterQueue", "ExportScheduleDeadLetterQueue"
_RULE_QUEUE = "ExecutionEndedDeadLetterQueue"
_RULE, _CLEANER = "CleanUpFailedRunFunctionExecutionEnded", "CleanUpFailedRunFunction"
_READER = "DetectTransitionsFunction"
_NOBODY = "nobody"


def a_redrive_in_bulk(stage: Stage) -> Generator[None, None, str]:
    """SQS moves what died in a queue."""
    letters = DeadLetters(stage)
    letters.put(_QUEUE, _words())
    destination = letters.queue_for_returns()
    yield
    return letters.redrive(_QUEUE, mode="bulk", destinationArn=destination)


def a_redrive_message_by_message(stage: Stage) -> Generator[None, None, str]:
    """What died in a queue is counted, sent and deleted."""
    letters = DeadLetters(stage)
    letters.put(_QUEUE, _words())
    destination = letters.queue_for_returns()
    yield
    return letters.redrive(_QUEUE, mode="counted", destinationArn=destination)


def a_redrive_to_a_function(stage: Stage) -> Generator[None, None, str]:
    """An asynchronous invocation is made again."""
    letters = DeadLetters(stage)
    letters.put(_FUNCTION_QUEUE, _invocation(letters.function_arn(_CLEANER)))
    yield
    return letters.redrive(_FUNCTION_QUEUE)


def a_redrive_of_what_a_rule_could_not_deliver(stage: Stage) -> Generator[None, None, str]:
    """An event goes to the function that its rule has for a target."""
    letters = DeadLetters(stage)
    letters.put_by_rule(_RULE_QUEUE, _RULE, json.dumps(_event()), letters.function_arn(_CLEANER))
    yield
    return letters.redrive(_RULE_QUEUE)


def a_redrive_to_a_function_that_reads_a_stream(stage: Stage) -> Generator[None, None, str]:
    """A batch of a stream is to be given to its function again, from a queue as no function of the stack has
    one."""
    letters = DeadLetters(stage)
    table = stage.client("dynamodb").describe_table(TableName=stage.outputs["JobsTableName"])["Table"]
    queue = letters.put_by_reader(_READER, table["LatestStreamArn"])
    yield
    return letters.redrive_of(queue)


def a_redrive_to_a_state_machine(stage: Stage) -> Generator[None, None, str]:
    """A run is started that the schedule could not start."""
    letters = DeadLetters(stage)
    target = stage.outputs["ExportStateMachineArn"]
    letters.put_by_schedule(_SCHEDULE_QUEUE, "export", '{"startedBy": "schedule"}', target, _words())
    yield
    return letters.redrive(_SCHEDULE_QUEUE)


def a_redrive_to_the_bus(stage: Stage) -> Generator[None, None, str]:
    """An event is put that the bus could not encrypt."""
    letters = DeadLetters(stage)
    event = {"source": "soak", "detail-type": "Soaked", "detail": {"of": _words()}, "resources": []}
    letters.put(_BUS_QUEUE, json.dumps(event))
    yield
    return letters.redrive(_BUS_QUEUE)


def a_redrive_into_quarantine(stage: Stage) -> Generator[None, None, str]:
    """A dead letter does not say where it belongs."""
    letters = DeadLetters(stage)
    letters.put(_RULE_QUEUE, _words())
    yield
    return letters.redrive(_RULE_QUEUE)


def a_dead_letter_that_cannot_go_back(stage: Stage) -> Generator[None, None, str]:
    """The function that is asked for is not there: the letter is let go, so that it can be received again."""
    letters = DeadLetters(stage)
    cleaner = letters.function_arn(_CLEANER)
    letters.put(_FUNCTION_QUEUE, _invocation(cleaner))
    nobody = f"{cleaner.rpartition(':')[0]}:{stage.stack_name}-{_NOBODY}"
    yield
    return letters.redrive(_FUNCTION_QUEUE, destinationArn=nobody)


def a_redrive_after_one_that_died(stage: Stage) -> Generator[None, None, str]:
    """The lock of the queue is held by an execution that is not there."""
    letters = DeadLetters(stage)
    letters.put(_QUEUE, _words())
    destination = letters.queue_for_returns()
    letters.lock(_QUEUE, _NOBODY)
    yield
    return letters.redrive(_QUEUE, mode="bulk", destinationArn=destination)


def _words() -> str:
    """A body that no other dead letter has, so that no count of an earlier one is met."""
    return f"soaked {uuid.uuid4()}"


def _invocation(function_arn: str) -> str:
    return json.dumps({"requestContext": {"functionArn": function_arn}, "requestPayload": _event()})


def _event() -> dict[str, Any]:
    """What the function is told of an erasure that died, one that nobody has begun: it changes nothing."""
    return {"executionArn": f"erase:{uuid.uuid4()}", "failure": {"Error": "Soaked", "Cause": ""}}


REDRIVE_SCENARIOS: Mapping[str, RedriveScenario] = {
    "a redrive in bulk": a_redrive_in_bulk,
    "a redrive message by message": a_redrive_message_by_message,
    "a redrive to a function": a_redrive_to_a_function,
    "a redrive of what a rule could not deliver": a_redrive_of_what_a_rule_could_not_deliver,
    "a redrive to a function that reads a stream": a_redrive_to_a_function_that_reads_a_stream,
    "a redrive to a state machine": a_redrive_to_a_state_machine,
    "a redrive to the bus": a_redrive_to_the_bus,
    "a redrive into quarantine": a_redrive_into_quarantine,
    "a dead letter that cannot go back": a_dead_letter_that_cannot_go_back,
    "a redrive after one that died": a_redrive_after_one_that_died,
}
