"""Checks the export job that an execution waits for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import lambda_entry
from common.sqs_records import SqsRecord, answer_batch
from healthlake_export.check_messages import Check, CheckQueue
from healthlake_export.export_watch import ExportWatcher
from healthlake_export.fhir_export_api import export_api
from healthlake_export.run_state import RunState
from healthlake_export.settings import export_settings
from healthlake_export.task_callbacks import TaskCallbacks, ending_the_wait_when_denied


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> Any:
    """Triggered by the check queue, which carries the links of the chain of checks and, through a rule,
    HealthLake's own events about export jobs.

    Returns the messages that are to be delivered again.
    """
    settings = export_settings()
    watcher = ExportWatcher(
        settings=settings,
        api=export_api(settings.datastore_id),
        state=RunState(aws_clients.dynamodb(), settings.table, settings.datastore_id),
        callbacks=TaskCallbacks(aws_clients.stepfunctions()),
        checks=CheckQueue(aws_clients.sqs(), settings.check_queue_url),
        executions=aws_clients.stepfunctions(),
        now=lambda: datetime.now(UTC),
    )

    def handle(record: SqsRecord) -> None:
        body = record.json_body
        with ending_the_wait_when_denied(watcher.end_wait):
            if "check" in body:
                # Messages that were sent before they had ids claim by the one that SQS gave them.
                watcher.on_check(Check.from_message(body), body.get("id", record.message_id))
            elif job_id := body.get("detail", {}).get("jobId"):
                watcher.on_job_event(job_id)

    return answer_batch(event, handle)
