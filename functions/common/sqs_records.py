"""Handling of a batch of SQS messages: what fails alone is delivered again alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from common.observability import logger, presentable


def answer_batch(event: dict[str, Any], context: LambdaContext, handle: Callable[[SQSRecord], None]) -> Any:
    """Give every message of `event` to `handle` and return `batchItemFailures` with those that raised.

    Follows the AWS Lambda Developer Guide, «Handling errors for an SQS event source in Lambda».
    """

    def guarded(record: SQSRecord) -> None:
        try:
            handle(record)
        except Exception as error:
            failure = presentable(error)
            logger().error("message left in the queue", message_id=record.message_id)
        else:
            return
        raise failure

    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
    return process_partial_response(event=event, record_handler=guarded, processor=processor, context=context)
