"""Whether what a dead letter names as its target is bound to the queue that it lies in.

A message of these kinds says itself where it belongs, and whoever may send to its queue may write one. So the
service that would have sent it there is asked whether what fails at that target goes to this queue:

| kind     | asked                                                                                        |
|----------|----------------------------------------------------------------------------------------------|
| rule     | whether the rule (`RULE_ARN`) has that target, with this queue for what it cannot deliver     |
| async    | whether the function's on-failure destination is this queue                                   |
| schedule | whether the schedule (`SCHEDULE_ARN`) has that target, with this queue for what it cannot do  |
| stream   | whether the function reads that stream, with this queue as its on-failure destination         |
| pipe     | whether the pipe reads that stream, with this queue as its dead-letter queue                  |

Where a message died in a queue SQS itself says which one (kind sqs), and an event that no rule has seen goes
to one bus. Each rule, function and schedule is asked about once for each call of the redrive's function.

Follows «ListTargetsByRule» of the Amazon EventBridge API Reference, «GetSchedule» of that of EventBridge
Scheduler, «GetFunctionEventInvokeConfig» and «ListEventSourceMappings» of that of AWS Lambda, and
«DescribePipe» of that of Amazon EventBridge Pipes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dlq_redrive.arns import parse_arn
from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue
from dlq_redrive.ways_back import (
    LATEST,
    UNIVERSAL_START,
    ReadAgain,
    ToFunction,
    ToQueue,
    ToStateMachine,
    WayBack,
    function_and_qualifier,
    start_request,
)

if TYPE_CHECKING:
    from dlq_redrive.senders import Clients

_NOT_THERE = frozenset({"ResourceNotFoundException", "NotFoundException"})


class Bindings:
    """What is bound to one queue of a stack. `schedules` is a client of EventBridge Scheduler, which has no
    stubs."""

    def __init__(self, clients: Clients, schedules: Any, queue: DeadLetterQueue, stack: str) -> None:
        self._clients = clients
        self._schedules = schedules
        self._queue = queue
        self._prefix = f"{stack}-"
        self._found: dict[tuple[str, ...], bool] = {}

    def allow(self, way: WayBack, letter: DeadLetter) -> bool:
        """Whether a message may go that way. Raises the ClientError and BotoCoreError of what is asked."""
        if isinstance(way, ToFunction) and way.asked_for:
            return True
        kind, target = self._queue.kind, _target(way)
        if kind == "rule":
            return self._once(kind, letter.text_attribute("RULE_ARN") or "", target)
        if kind == "schedule":
            return self._once(kind, letter.text_attribute("SCHEDULE_ARN") or "", target)
        if kind == "async":
            return self._once(kind, target)
        if kind == "stream" and isinstance(way, ReadAgain):
            return self._once(kind, way.reader_arn, way.position.streamArn)
        return kind != "pipe" or (isinstance(way, ReadAgain) and self._is_own(way.reader_arn))

    def allow_pipe(self, described: Mapping[str, Any], way: ReadAgain) -> bool:
        """Whether the pipe that DescribePipe tells of reads the stream, and what fails in it goes here."""
        source = described.get("SourceParameters", {}).get("DynamoDBStreamParameters", {})
        reads = described.get("Source") == way.position.streamArn
        return reads and self._is_queue(source.get("DeadLetterConfig"))

    def _is_own(self, arn: str) -> bool:
        """Whether an ARN is of the stack: where the queue is, with a name that begins as the stack's do."""
        found, here = parse_arn(arn), parse_arn(self._queue.arn)
        if found is None or here is None:
            return False
        at = (found.partition, found.region, found.account) == (here.partition, here.region, here.account)
        return at and any(one.startswith(self._prefix) for one in re.split("[/:]", found.resource)[1:])

    def _once(self, kind: str, source: str, *more: str) -> bool:
        key = (kind, source, *more)
        if key not in self._found:
            asking: Mapping[str, Callable[..., bool]] = {
                "rule": self._ask_rule,
                "schedule": self._ask_schedule,
                "async": self._ask_function,
                "stream": self._ask_reader,
            }
            self._found[key] = self._is_own(source) and _unless_gone(asking[kind], source, *more)
        return self._found[key]

    def _ask_rule(self, rule_arn: str, target: str) -> bool:
        *_, bus, name = ("default", *rule_arn.split("/")[1:])
        pages: Any = {"Rule": name, "EventBusName": bus}
        while True:
            answer = self._clients.events.list_targets_by_rule(**pages)
            found = [one for one in answer["Targets"] if one["Arn"] == target]
            if any(self._is_queue(one.get("DeadLetterConfig")) for one in found):
                return True
            if not answer.get("NextToken"):
                return False
            pages["NextToken"] = answer["NextToken"]

    def _ask_schedule(self, schedule_arn: str, target: str) -> bool:
        *_, group, name = ("default", *schedule_arn.split("/")[1:])
        found = self._schedules.get_schedule(GroupName=group, Name=name)["Target"]
        request = start_request(found.get("Input", ""))
        starts = request[0] if found["Arn"].endswith(UNIVERSAL_START) and request else found["Arn"]
        return starts == target and self._is_queue(found.get("DeadLetterConfig"))

    def _ask_function(self, function_arn: str) -> bool:
        function, qualifier = function_and_qualifier(function_arn)
        version: Any = {} if qualifier is None else {"Qualifier": qualifier}
        found = self._clients.functions.get_function_event_invoke_config(FunctionName=function, **version)
        return self._is_destination(found.get("DestinationConfig"))

    def _ask_reader(self, function_arn: str, stream_arn: str) -> bool:
        asked: Any = {"FunctionName": function_arn.removesuffix(LATEST), "EventSourceArn": stream_arn}
        found = self._clients.functions.list_event_source_mappings(**asked)["EventSourceMappings"]
        return any(self._is_destination(one.get("DestinationConfig")) for one in found)

    def _is_queue(self, config: Mapping[str, Any] | None) -> bool:
        return (config or {}).get("Arn") == self._queue.arn

    def _is_destination(self, config: Any) -> bool:
        return ((config or {}).get("OnFailure") or {}).get("Destination") == self._queue.arn


def _target(way: WayBack) -> str:
    if isinstance(way, ToQueue):
        return way.queue_arn
    if isinstance(way, ToFunction):
        return way.function_arn
    return way.state_machine_arn if isinstance(way, ToStateMachine) else ""


def _unless_gone(ask: Callable[..., bool], *names: str) -> bool:
    """What is asked about may be gone; then nothing of it goes to the queue any more."""
    try:
        return ask(*names)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _NOT_THERE:
            return False
        raise
