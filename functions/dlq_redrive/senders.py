"""Sends dead letters back, each to where it belongs.

Whoever sends one twice does no harm that can be helped: FIFO queues drop the copy by its deduplication id, an
execution has a name of its own, and everything else is delivered at least once as ever.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from dlq_redrive.arns import is_fifo
from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue
from dlq_redrive.errors import RedriveThrottled, TargetRefused
from dlq_redrive.pipe_targets import PipeTarget, enriched, read_pipe
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.stream_records import read_records
from dlq_redrive.ways_back import (
    ReadAgain,
    ToBus,
    ToFunction,
    ToQueue,
    ToStateMachine,
    WayBack,
    function_and_qualifier,
)

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

_TOO_LARGE = frozenset({"InvalidParameterValue", "InvalidMessageContents", "InvalidParameterValueException"})
_MOST_ENTRIES = 10
_NOT_NOW = frozenset({"ThrottlingException", "InternalFailure", "InternalException"})


@dataclass(frozen=True)
class Clients:
    """What messages are sent back through. Streams and pipes have no stubs."""

    sqs: SQSClient
    events: EventBridgeClient
    functions: LambdaClient
    executions: SFNClient
    streams: Any
    pipes: Any


@dataclass(frozen=True)
class Sender:
    """Sends back the messages of one queue."""

    clients: Clients
    queue: DeadLetterQueue

    def send(self, way: WayBack, letter: DeadLetter, identity: str, redrives: int) -> Reason | None:
        """Send a message back for the `redrives`-th time; None when it was taken, else why it cannot go back.

        Raises ClientError and BotoCoreError of the calls it makes, and `TargetRefused` or `RedriveThrottled`
        where a call succeeds and its answer is a refusal.
        """
        if isinstance(way, ToQueue):
            self._to_queue(way, letter, identity, redrives)
        elif isinstance(way, ToFunction):
            self._invoke(way.function_arn, way.payload, "Event")
        elif isinstance(way, ToStateMachine):
            self._start(way, identity)
        elif isinstance(way, ToBus):
            self._put([dict(way.entry)])
        else:
            return self._read_again(way)
        return None

    def _to_queue(self, way: ToQueue, letter: DeadLetter, identity: str, redrives: int) -> None:
        """A message at its queue's limit of size is sent without the mark of a redrive."""
        request: dict[str, Any] = {"QueueUrl": self.queue.url_of(way.queue_arn), "MessageBody": letter.body}
        if letter.group_id is not None:
            request["MessageGroupId"] = letter.group_id
        if is_fifo(way.queue_arn):
            request["MessageDeduplicationId"] = f"{identity}-{redrives}"
        kept = letter if way.with_attributes else letter.without_attributes()
        try:
            self.clients.sqs.send_message(**request, MessageAttributes=kept.marked(redrives))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _TOO_LARGE:
                raise
            self.clients.sqs.send_message(**request, MessageAttributes=kept.unmarked())

    def _invoke(self, arn: str, payload: bytes, how: Any) -> bytes:
        function, qualifier = function_and_qualifier(arn)
        version: Any = {} if qualifier is None else {"Qualifier": qualifier}
        answer = self.clients.functions.invoke(
            FunctionName=function, InvocationType=how, Payload=payload, **version
        )
        if answer.get("FunctionError"):
            raise TargetRefused("The function that was given the records again failed on them.")
        return answer["Payload"].read() if how == "RequestResponse" else b""

    def _start(self, way: ToStateMachine, identity: str) -> None:
        """The name is the message's, so that the same message starts one execution only."""
        try:
            self.clients.executions.start_execution(
                stateMachineArn=way.state_machine_arn, name=f"redrive-{identity}", input=way.input_text
            )
        except self.clients.executions.exceptions.ExecutionAlreadyExists:
            return

    def _put(self, entries: list[Any]) -> None:
        for first in range(0, len(entries), _MOST_ENTRIES):
            answer = self.clients.events.put_events(Entries=entries[first : first + _MOST_ENTRIES])
            codes = [one["ErrorCode"] for one in answer["Entries"] if one.get("ErrorCode")]
            if codes:
                error = RedriveThrottled if codes[0] in _NOT_NOW else TargetRefused
                raise error(f"PutEvents refused {len(codes)} entries, the first with {codes[0]}.")

    def _read_again(self, way: ReadAgain) -> Reason | None:
        target: PipeTarget | None = None
        if self.queue.kind == "pipe":
            target = read_pipe(self.clients.pipes.describe_pipe(Name=way.reader_arn.rpartition("/")[2]))
            if target is None:
                return Reason.TARGET_NOT_SUPPORTED
        records = read_records(self.clients.streams, way.position)
        if isinstance(records, Reason):
            return records
        if target is None:
            failed = self._invoke(way.reader_arn, _json({"Records": records}), "RequestResponse")
            _require_all_taken(failed)
        else:
            self._through_pipe(target, records)
        return None

    def _through_pipe(self, target: PipeTarget, events: list[Any]) -> None:
        if target.enrichment is not None:
            events = _enriched(self._invoke(target.enrichment, _json(events), "RequestResponse"))
        if not events:
            return
        if target.service == "lambda":
            _require_all_taken(self._invoke(target.arn, _json(events), "RequestResponse"))
        elif target.service == "sqs":
            for event in events:
                self.clients.sqs.send_message(
                    QueueUrl=self.queue.url_of(target.arn), MessageBody=_json(event).decode()
                )
        else:
            self._put([_entry(target, event) for event in events])


def _entry(target: PipeTarget, event: Any) -> dict[str, Any]:
    return {
        "EventBusName": target.arn,
        "Source": target.event_source,
        "DetailType": target.detail_type,
        "Detail": _json(event).decode(),
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _enriched(answer: bytes) -> list[Any]:
    try:
        return enriched(answer)
    except ValueError:
        raise TargetRefused("The function that enriches for the pipe answered what is no JSON.") from None


def _require_all_taken(answer: bytes) -> None:
    """A function may take a batch and name the records that it failed on («Configuring partial batch response
    with DynamoDB and Lambda», AWS Lambda Developer Guide)."""
    try:
        found = json.loads(answer or b"null")
    except ValueError:
        return
    if isinstance(found, dict) and found.get("batchItemFailures"):
        raise TargetRefused("The function that was given the records again failed on some of them.")
