"""Where a dead letter belongs, read out of its shape; never guessed.

| kind        | way back                                                                                     |
|-------------|----------------------------------------------------------------------------------------------|
| sqs         | the queue it died in, or the one that was asked for                                          |
| rule        | the target that failed, and no other target of the rule: a queue, function or state machine  |
| async       | the function that failed, asynchronously, with what it was given                             |
| schedule    | the state machine that the schedule starts                                                   |
| bus         | the bus again: no rule has seen the event                                                    |
| stream      | the records are read again and given to the function, which answers for them                 |
| pipe        | the records are read again and given to the pipe's target                                    |

Follows, for `DeadLetterQueueSourceArn`, «ReceiveMessage» of the Amazon SQS API Reference; for the message
attributes of rules «Using dead-letter queues to process undelivered events in EventBridge» of the Amazon
EventBridge User Guide; for those of schedules «Configuring a schedule's dead-letter queue in EventBridge
Scheduler» of its User Guide; for the rest what `failure_records` names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from common.instants import parse_instant
from dlq_redrive.arns import Home, is_fifo, parse_arn
from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue
from dlq_redrive.failure_records import BusEvent, InvocationRecord, Position, PositionRecord, read_record
from dlq_redrive.quarantine_reasons import Reason

STREAM_RETENTION = timedelta(hours=24)
"""How long a stream keeps records (Amazon DynamoDB Developer Guide, «Change data capture for DynamoDB
Streams»)."""

UNIVERSAL_START = "aws-sdk:sfn:startExecution"
LATEST = ":$LATEST"


@dataclass(frozen=True)
class ToQueue:
    """Send the message to a queue. `with_attributes` says that its message attributes are the sender's."""

    queue_arn: str
    with_attributes: bool = True


@dataclass(frozen=True)
class ToFunction:
    """Invoke a function asynchronously, or the version or alias that the ARN ends with. `asked_for` says that
    whoever started the redrive names the function, and not the message."""

    function_arn: str
    payload: bytes = field(repr=False)
    asked_for: bool = False


@dataclass(frozen=True)
class ToStateMachine:
    """Start an execution."""

    state_machine_arn: str
    input_text: str = field(repr=False)


@dataclass(frozen=True)
class ToBus:
    """Put an event on the hub's bus."""

    entry: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class ReadAgain:
    """Read records of a stream again, for a function or a pipe."""

    position: Position
    reader_arn: str


WayBack = ToQueue | ToFunction | ToStateMachine | ToBus | ReadAgain
_Way = WayBack | Reason


@dataclass(frozen=True)
class Ways:
    """Finds the ways back of one queue's messages. `destination_arn` is where they were asked to go."""

    queue: DeadLetterQueue
    home: Home
    bus: str
    destination_arn: str | None = None

    def back(self, letter: DeadLetter, now: datetime) -> _Way:
        """The way back of a message, or the reason why it has none."""
        find: Mapping[str, Callable[[DeadLetter, datetime], _Way]] = {
            "sqs": self._to_source,
            "rule": self._to_target_of_rule,
            "async": self._to_function,
            "schedule": self._to_target_of_schedule,
            "bus": self._to_bus,
            "stream": self._to_reader,
            "pipe": self._to_reader,
        }
        return find[self.queue.kind](letter, now)

    def _to_source(self, letter: DeadLetter, _now: datetime) -> _Way:
        source = self.destination_arn or letter.source_arn
        if source is None:
            if len(self.queue.sources) != 1:
                return Reason.SEVERAL_SOURCES if self.queue.sources else Reason.SOURCE_UNKNOWN
            (source,) = self.queue.sources
        found = parse_arn(source)
        if found is None or found.service != "sqs":
            return Reason.SOURCE_UNKNOWN
        return ToQueue(source) if found.is_at(self.home) else Reason.TARGET_ELSEWHERE

    def _to_target_of_rule(self, letter: DeadLetter, _now: datetime) -> _Way:
        arn = letter.text_attribute("TARGET_ARN")
        target = parse_arn(arn)
        if target is None or arn is None:
            return Reason.TARGET_UNKNOWN
        if not target.is_at(self.home):
            return Reason.TARGET_ELSEWHERE
        if target.service == "sqs":
            # The group that a rule gives its messages is not in the dead letter.
            return Reason.TARGET_NOT_SUPPORTED if is_fifo(arn) else ToQueue(arn, with_attributes=False)
        if target.service == "lambda":
            return ToFunction(arn, letter.body.encode())
        return _to_state_machine(arn, letter.body)

    def _to_function(self, letter: DeadLetter, _now: datetime) -> _Way:
        record = read_record(letter.body, InvocationRecord)
        if record is None or not record.function_arn:
            if self.destination_arn is None:
                return Reason.FUNCTION_UNKNOWN
            return ToFunction(self.destination_arn, letter.body.encode(), asked_for=True)
        function = parse_arn(record.function_arn)
        if function is None or function.service != "lambda":
            return Reason.FUNCTION_UNKNOWN
        if not function.is_at(self.home):
            return Reason.TARGET_ELSEWHERE
        if not bytes(record.requestPayload):
            return Reason.PAYLOAD_MISSING
        payload = bytes(record.requestPayload)
        if self.destination_arn is not None:
            return ToFunction(self.destination_arn, payload, asked_for=True)
        return ToFunction(record.function_arn, payload)

    def _to_target_of_schedule(self, letter: DeadLetter, _now: datetime) -> _Way:
        arn = letter.text_attribute("TARGET_ARN")
        target = parse_arn(arn)
        if target is None or arn is None:
            return Reason.TARGET_UNKNOWN
        if letter.text_attribute("IS_PAYLOAD_TRUNCATED") == "true":
            return Reason.PAYLOAD_TRUNCATED
        asked = start_request(letter.body)
        if asked is None:
            if not target.is_at(self.home):
                return Reason.TARGET_ELSEWHERE if target.account else Reason.TARGET_NOT_SUPPORTED
            return _to_state_machine(arn, letter.body)
        machine, text = asked
        named = parse_arn(machine)
        if machine != arn and target.resource != UNIVERSAL_START:
            return Reason.TARGET_UNKNOWN
        if named is None or not named.is_at(self.home):
            return Reason.TARGET_ELSEWHERE
        return _to_state_machine(machine, text)

    def _to_bus(self, letter: DeadLetter, _now: datetime) -> _Way:
        event = read_record(letter.body, BusEvent)
        if event is None:
            return Reason.EVENT_UNREADABLE
        if event.source.startswith("aws."):
            return Reason.EVENT_OF_AWS
        entry: dict[str, Any] = {
            "Source": event.source,
            "DetailType": event.detail_type,
            "Detail": bytes(event.detail).decode(),
            "Resources": event.resources,
            "EventBusName": self.bus,
        }
        try:
            return ToBus({**entry, "Time": parse_instant(event.time)} if event.time else entry)
        except ValueError:
            return Reason.EVENT_UNREADABLE

    def _to_reader(self, letter: DeadLetter, now: datetime) -> _Way:
        record = read_record(letter.body, PositionRecord)
        if record is None:
            return Reason.POSITION_UNREADABLE
        pipe = self.queue.kind == "pipe"
        reader = record.context.partnerResourceArn if pipe else record.requestContext.functionArn
        named, stream = parse_arn(reader), parse_arn(record.DDBStreamBatchInfo.streamArn)
        if named is None or stream is None or named.service != ("pipes" if pipe else "lambda"):
            return Reason.POSITION_UNREADABLE
        if stream.service != "dynamodb":
            return Reason.TARGET_NOT_SUPPORTED
        if not (named.is_at(self.home) and stream.is_at(self.home)):
            return Reason.TARGET_ELSEWHERE
        if _has_expired(record.DDBStreamBatchInfo, now):
            return Reason.POSITION_EXPIRED
        return ReadAgain(record.DDBStreamBatchInfo, reader)


def function_and_qualifier(arn: str) -> tuple[str, str | None]:
    """The ARN of a function without its qualifier, and the qualifier: a version or an alias. `$LATEST` is
    what a function without one means, and asks for another permission when it is written out."""
    parts = arn.removesuffix(LATEST).split(":")
    return ":".join(parts[:7]), parts[7] if len(parts) > 7 else None


def _to_state_machine(arn: str, text: str) -> _Way:
    found = parse_arn(arn)
    if found is None or found.service != "states" or not found.resource.startswith("stateMachine:"):
        return Reason.TARGET_NOT_SUPPORTED
    return ToStateMachine(arn, text)


def start_request(body: str) -> tuple[str, str] | None:
    """State machine and input of a request of StartExecution, which is what Scheduler keeps of a target that
    it calls with one; None when the body is no such request, and so the input itself."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(request, dict):
        return None
    fields = {name[:1].lower() + name[1:]: value for name, value in request.items()}
    machine, text = fields.get("stateMachineArn"), fields.get("input", "{}")
    if not isinstance(machine, str) or not isinstance(text, str) or not fields.keys() <= _OF_A_START:
        return None
    return machine, text


_OF_A_START = {"stateMachineArn", "input", "name", "traceHeader"}


def _has_expired(position: Position, now: datetime) -> bool:
    try:
        return now - parse_instant(position.approximateArrivalOfFirstRecord) >= STREAM_RETENTION
    except ValueError:
        return False  # the stream itself will say
