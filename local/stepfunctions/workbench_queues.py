"""SQS event sources of functions, in a thread each: batches as Lambda gets them, partial failures honoured.

AWS documentation: "Using Lambda with Amazon SQS", "Handling errors for an SQS event source in Lambda".
"""

from __future__ import annotations

import json
import threading
from typing import Any

from local.stepfunctions.work_threads import WorkThreads
from local.stepfunctions.workbench_functions import Functions

_IDLE_SECONDS = 0.01


class QueuePump:
    """Moves messages of one queue to one function until it is stopped.

    A message is deleted when the function took it. When the function fails, or names a message under
    `batchItemFailures`, the message is visible again at once, and goes to the dead-letter queue as its
    queue says.
    """

    def __init__(
        self, sqs: Any, functions: Functions, *, queue_url: str, function: str, batch_size: int, partial: bool
    ) -> None:
        self._sqs = sqs
        self._functions = functions
        self._queue_url = queue_url
        self._function = function
        self._batch_size = batch_size
        self._partial = partial
        self._wake = threading.Event()
        self._stopping = False
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]
        self._queue_arn: str = attributes["QueueArn"]
        self._threads = WorkThreads()

    def start(self) -> None:
        """Begin to deliver."""
        self._threads.start(f"pump-{self._function}", self._pump)

    def wake(self) -> None:
        """A message may have come."""
        self._wake.set()

    def stop(self) -> None:
        """Deliver no more; the batch under way is finished. Raises TimeoutError when it goes on."""
        self._stopping = True
        self._wake.set()
        self._threads.join()

    def _pump(self) -> None:
        while not self._stopping:
            messages = self._sqs.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=self._batch_size,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if messages:
                self._deliver(messages)
            else:
                self._wake.wait(_IDLE_SECONDS)
                self._wake.clear()

    def _deliver(self, messages: list[dict[str, Any]]) -> None:
        event = {"Records": [self._record(message) for message in messages]}
        invocation = self._functions.call(self._function, json.dumps(event))
        failed = self._failed(messages, invocation.result, invocation.error is not None)
        for message in messages:
            handle = message["ReceiptHandle"]
            if message["MessageId"] in failed:
                self._sqs.change_message_visibility(
                    QueueUrl=self._queue_url, ReceiptHandle=handle, VisibilityTimeout=0
                )
            else:
                self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=handle)
        if failed:
            self._wake.wait(_IDLE_SECONDS)

    def _failed(self, messages: list[dict[str, Any]], result: Any, raised: bool) -> set[str]:
        everything = {message["MessageId"] for message in messages}
        if raised:
            return everything
        if not self._partial or not isinstance(result, dict):
            return set()
        named = {failure.get("itemIdentifier") for failure in result.get("batchItemFailures") or []}
        # Lambda takes an identifier it does not know, or none, for a failure of the whole batch.
        return everything if named - everything else named

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._queue_arn,
            "awsRegion": self._queue_arn.split(":")[3],
        }


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        shown["stringValue"] = value["StringValue"]
    return shown
