"""Sends dead letters back, each to where it belongs.

What has to be asked is asked first (`prepare`): a question that fails has sent nothing.
Whoever sends one twice does no harm that can be helped: FIFO queues drop the copy by its deduplication id, an
execution has a name of its own, and everything else is delivered at least once as ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, ReadTimeoutError

from common.aws_clients import LONGEST_ANSWER_SECONDS
from common.errors import AwsCallFailed, HubError
from dlq_redrive.arns import is_fifo
from dlq_redrive.aws_failures import named_failure
from dlq_redrive.dead_letter import DeadLetter, DeadLetterQueue
from dlq_redrive.errors import RedriveThrottled, TargetRefused, TargetTookPart
from dlq_redrive.pipe_targets import PipeTarget, bus_entry, enriched, read_pipe
from dlq_redrive.quarantine_reasons import Reason
from dlq_redrive.request_parts import entry_bytes, json_bytes, parts
from dlq_redrive.stream_filters import filters_of_mappings, meant_records
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

    from dlq_redrive.bindings import Bindings

_TOO_LARGE = frozenset({"InvalidParameterValue", "InvalidMessageContents", "InvalidParameterValueException"})
_MOST_ENTRIES, _MOST_ENTRY_BYTES = 10, 1_000_000
_MOST_RECORDS, _MOST_RECORD_BYTES = 500, 4_000_000
_MOST_GIVEN, _MOST_GIVEN_BYTES = 100, 5_900_000
"""What a function is given at once of a stream, unless the batch that failed had more records: an invocation
takes 6 MB."""
_NOT_NOW = "ThrottlingException"
_UNCERTAIN = frozenset({"InternalFailure", "InternalException"})
_NO_ANSWER = (ReadTimeoutError, ConnectionClosedError)

LONGEST_RUN_SECONDS = 900
"""How long a function can run (AWS Lambda Developer Guide, «Configure Lambda function timeout»)."""


Ready = Callable[[int], object]
"""Sends a message back, given the number of the redrive that it is. Raises ClientError and BotoCoreError, of
which `nothing_was_sent` tells whether the message may have been delivered; `TargetRefused` or
`RedriveThrottled` where a call succeeds and its answer is a refusal, `AwsCallFailed` where the answer leaves
that open, and `TargetTookPart` where some of several were taken."""


@dataclass(frozen=True)
class Clients:
    """What messages are sent back through, in one attempt each: whether a send was made has to be known, and
    no function may be given the same twice at once. Streams and pipes have no stubs."""

    sqs: SQSClient
    events: EventBridgeClient
    functions: LambdaClient
    executions: SFNClient
    streams: Any
    pipes: Any
    firehose: Any


@dataclass(frozen=True)
class Sender:
    """Sends back the messages of one queue: only where `bindings` allow it, or, without them, wherever they
    say, for whoever has looked at them."""

    clients: Clients
    queue: DeadLetterQueue
    bindings: Bindings | None = None

    @property
    def longest_seconds(self) -> float:
        """How long a send may wait for functions: for that of a stream, or a pipe's enrichment and target."""
        return LONGEST_ANSWER_SECONDS * {"stream": 1, "pipe": 2}.get(self.queue.kind, 0)

    def prepare(self, way: WayBack, letter: DeadLetter, identity: str) -> Ready | Reason:
        """Ask whatever has to be known before a message is sent back, and return what sends it, or why it
        cannot go back. Raises ClientError and BotoCoreError of what it asks; then nothing was sent."""
        if self.bindings is not None and not self.bindings.allow(way, letter):
            return Reason.TARGET_NOT_BOUND
        if isinstance(way, ToQueue):
            return lambda redrives: self._to_queue(way, letter, identity, redrives)
        if isinstance(way, ToFunction):
            return lambda _: self._invoke(way.function_arn, way.payload, "Event")
        if isinstance(way, ToStateMachine):
            return lambda _: self._start(way, letter, identity)
        if isinstance(way, ToBus):
            return lambda _: self._put([dict(way.entry)])
        return self._read_again(way, letter)

    def may_be_at_work(self, error: Exception) -> bool:
        """Whether, after a send that failed with `error`, a function may still be at work on the message. It
        is to stay hidden then, since whoever receives it would give it to the function a second time."""
        return self.queue.kind in ("stream", "pipe") and isinstance(error, _NO_ANSWER)

    def _to_queue(self, way: ToQueue, letter: DeadLetter, identity: str, redrives: int) -> None:
        """A message at its queue's limit of size is sent without the mark of a redrive.

        A FIFO queue drops another try to send the same message within five minutes, and takes one that has
        died again since, and so has another id. What X-Ray knows the message by goes with it."""
        request: dict[str, Any] = {"QueueUrl": self.queue.url_of(way.queue_arn), "MessageBody": letter.body}
        if letter.group_id is not None:
            request["MessageGroupId"] = letter.group_id
        if is_fifo(way.queue_arn):
            request["MessageDeduplicationId"] = f"{identity}-{letter.message_id}"
        if trace := letter.attributes.get("AWSTraceHeader"):
            request["MessageSystemAttributes"] = {
                "AWSTraceHeader": {"DataType": "String", "StringValue": trace}
            }
        kept = letter if way.with_attributes else letter.without_attributes()
        try:
            self.clients.sqs.send_message(**request, MessageAttributes=kept.marked(redrives))
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in _TOO_LARGE:
                raise
            self.clients.sqs.send_message(**request, MessageAttributes=kept.unmarked())

    def _hide(self, letter: DeadLetter) -> None:
        """Hide a message for as long as a function may run, so that this execution environment may be killed
        or the answer be lost: nobody has the function invoked again meanwhile."""
        if letter.receipt_handle:
            self.clients.sqs.change_message_visibility(
                QueueUrl=self.queue.url,
                ReceiptHandle=letter.receipt_handle,
                VisibilityTimeout=LONGEST_RUN_SECONDS,
            )

    def _answer_of(self, arn: str, given: Any) -> bytes:
        return self._invoke(arn, json_bytes(given), "RequestResponse")

    def _invoke(self, arn: str, payload: bytes, how: Any) -> bytes:
        function, qualifier = function_and_qualifier(arn)
        version: Any = {} if qualifier is None else {"Qualifier": qualifier}
        answer = self.clients.functions.invoke(
            FunctionName=function, InvocationType=how, Payload=payload, **version
        )
        if answer.get("FunctionError"):
            raise TargetRefused("The function that was given the records again failed on them.")
        return answer["Payload"].read() if how == "RequestResponse" else b""

    def _start(self, way: ToStateMachine, letter: DeadLetter, identity: str) -> None:
        """The name is the message's, so that the same message starts one execution only, and one that is just
        like it another. An occurrence of a schedule, which may be delivered twice, is one by its time."""
        occurrence = self.queue.kind == "schedule" and letter.text_attribute("SCHEDULED_TIME")
        what = identity if occurrence else f"{identity}-{letter.message_id}"
        name = hashlib.sha256(what.encode()).hexdigest()
        try:
            self.clients.executions.start_execution(
                stateMachineArn=way.state_machine_arn, name=f"redrive-{name}", input=way.input_text
            )
        except self.clients.executions.exceptions.ExecutionAlreadyExists:
            return

    def _put(self, entries: list[Any]) -> None:
        """Put up to ten entries. What EventBridge failed on itself it may have taken."""
        answer = self.clients.events.put_events(Entries=entries)
        codes = [one["ErrorCode"] for one in answer["Entries"] if one.get("ErrorCode")]
        if codes:
            error: type[HubError] = RedriveThrottled if set(codes) == {_NOT_NOW} else TargetRefused
            if len(codes) < len(entries):
                error = TargetTookPart
            elif _UNCERTAIN.intersection(codes):
                error = AwsCallFailed
            raise error(f"PutEvents refused {len(codes)} entries, the first with {codes[0]}.")

    def _put_records(self, arn: str, records: Sequence[Any]) -> None:
        """Put records into a delivery stream, which may take some and leave others."""
        answer = self.clients.firehose.put_record_batch(
            DeliveryStreamName=arn.rpartition("/")[2], Records=[{"Data": one} for one in records]
        )
        if failed := answer["FailedPutCount"]:
            error: type[HubError] = TargetTookPart if failed < len(records) else RedriveThrottled
            raise error(f"PutRecordBatch did not take {failed} records.")

    def _read_again(self, way: ReadAgain, letter: DeadLetter) -> Ready | Reason:
        described = self._described(way)
        pipe = None if described is None else self._pipe(way, described)
        if isinstance(pipe, Reason):
            return pipe
        records = read_records(self.clients.streams, way.position)
        if not isinstance(records, Reason):
            records = meant_records(way.position, records, lambda: self._filters(way, described))
        if isinstance(records, Reason):
            return records
        if pipe is None or pipe.enrichment is not None or pipe.service == "lambda":
            self._hide(letter)
        most = max(way.position.batchSize, _MOST_GIVEN)
        given = list(parts(records, most, _MOST_GIVEN_BYTES, _size))
        if pipe is not None:
            return lambda _: self._each_hidden(letter, given, partial(self._through_pipe, pipe, letter))
        return lambda _: self._each_hidden(letter, given, partial(self._to_reader, way.reader_arn))

    def _each_hidden(self, letter: DeadLetter, given: list[Any], send: Callable[[Any], object]) -> None:
        """Send what a message that is hidden stands for, and hide it anew for each further part."""

        def one(part: Any) -> None:
            if part is not given[0]:
                self._hide(letter)
            send(part)

        _each(given, one)

    def _to_reader(self, arn: str, records: list[Any]) -> None:
        _require_all_taken(self._answer_of(arn, {"Records": records}))

    def _described(self, way: ReadAgain) -> Mapping[str, Any] | None:
        if self.queue.kind != "pipe":
            return None
        found: Mapping[str, Any] = self.clients.pipes.describe_pipe(Name=way.reader_arn.rpartition("/")[2])
        return found

    def _filters(self, way: ReadAgain, described: Mapping[str, Any] | None) -> list[Any]:
        if described is not None:
            return [described.get("SourceParameters", {}).get("FilterCriteria")]
        return filters_of_mappings(self.clients.functions, way.reader_arn, way.position.streamArn)

    def _pipe(self, way: ReadAgain, described: Mapping[str, Any]) -> PipeTarget | Reason:
        if self.bindings is not None and not self.bindings.allow_pipe(described, way):
            return Reason.TARGET_NOT_BOUND
        return read_pipe(described) or Reason.TARGET_NOT_SUPPORTED

    def _through_pipe(self, target: PipeTarget, letter: DeadLetter, events: list[Any]) -> None:
        if target.enrichment is not None:
            events = enriched(self._answer_of(target.enrichment, events))
            if events and target.service == "lambda":
                self._hide(letter)  # anew: the first function has taken its time
        if events and target.service == "lambda":
            _require_all_taken(self._answer_of(target.arn, events))
        elif target.service == "sqs":
            url = self.queue.url_of(target.arn)
            _each(events, lambda one: self.clients.sqs.send_message(QueueUrl=url, MessageBody=_text(one)))
        elif target.service == "firehose":
            rows = [json_bytes(event) for event in events]
            requests = list(parts(rows, _MOST_RECORDS, _MOST_RECORD_BYTES, len))
            _each(requests, lambda part: self._put_records(target.arn, part))
        elif target.service == "events":
            entries = [bus_entry(target, event) for event in events]
            _each(list(parts(entries, _MOST_ENTRIES, _MOST_ENTRY_BYTES, entry_bytes)), self._put)


def _each(given: Sequence[Any], send: Callable[[Any], object]) -> None:
    """Send parts one after the other. Once one was taken, a refusal of another is no refusal of all; what
    gave no answer is told as that, since a function may still be at work."""
    for number, part in enumerate(given):
        try:
            send(part)
        except (ClientError, BotoCoreError, HubError) as error:
            if not number or isinstance(error, _NO_ANSWER):
                raise
            why = str(error if isinstance(error, HubError) else named_failure(error))
            raise TargetTookPart(f"Of {len(given)} parts {number} were taken. {why}") from None


def _text(value: Any) -> str:
    return json_bytes(value).decode()


def _size(record: Any) -> int:
    return len(json_bytes(record)) + 1


def _require_all_taken(answer: bytes) -> None:
    """A function may take a batch and name the records that it failed on («Configuring partial batch response
    with DynamoDB and Lambda», AWS Lambda Developer Guide)."""
    try:
        found = json.loads(answer or b"null")
    except ValueError:
        return
    if isinstance(found, dict) and found.get("batchItemFailures"):
        raise TargetRefused("The function that was given the records again failed on some of them.")
