"""Starts the export job that an execution waits for."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.errors import InvalidSetting
from common.observability import lambda_entry
from common.sqs_records import SqsRecord, answer_batch
from healthlake_export.check_messages import CheckQueue
from healthlake_export.export_start import ExportStarter, StartMessage, StartQueue
from healthlake_export.fhir_export_api import export_api
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings
from healthlake_export.task_callbacks import TaskCallbacks, ending_the_wait_when_denied


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> Any:
    """Triggered by the start queue, whose messages the state *Wait For Export* sends.

    Returns the messages that are to be delivered again.
    """
    try:
        settings = export_settings()
    except InvalidSetting as error:
        return answer_batch(event, partial(_end_wait, error=error))
    sqs = aws_clients.sqs()
    starter = ExportStarter(
        settings=settings,
        api=export_api(settings.datastore_id),
        state=RunState(aws_clients.dynamodb(), settings.table, settings.datastore_id),
        callbacks=TaskCallbacks(aws_clients.stepfunctions()),
        checks=CheckQueue(sqs, settings.check_queue_url),
        starts=StartQueue(sqs, settings.start_queue_url),
        now=lambda: datetime.now(UTC),
        invocation=str(uuid.uuid4()),
    )

    def handle(record: SqsRecord) -> None:
        message = StartMessage.from_body(record.json_body)
        with ending_the_wait_when_denied(lambda failure: starter.callbacks.fail(message.task_token, failure)):
            starter.handle(message)

    return answer_batch(event, handle)


def _end_wait(record: SqsRecord, error: InvalidSetting) -> None:
    """Say at once what is wrong, instead of letting the wait run into its missing heartbeat."""
    message = StartMessage.from_body(record.json_body)
    TaskCallbacks(aws_clients.stepfunctions()).fail(message.task_token, error)
