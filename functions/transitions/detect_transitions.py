"""Detects transitions in changes of the jobs table and sends them where their rules say."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import count, lambda_entry, logger
from transitions.batches import Batch, report
from transitions.outputs import Outputs
from transitions.rules import Rule, load_rules
from transitions.settings import transition_settings


@cache
def rules_by_type() -> Mapping[str, tuple[Rule, ...]]:
    """The rules of this execution environment, read and checked when first asked for."""
    return load_rules()


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Triggered by the stream of the jobs table.

    Returns the first record that failed as `batchItemFailures`: Lambda goes on there, and after its retries
    keeps what still fails, whole, in the hub's bucket. Raises `InvalidRules` and `InvalidSetting` before it
    touches anything, and `UnreadableRecord` for a record that does not say its place in the stream.
    """
    settings = transition_settings()
    rules = rules_by_type()
    records = event["Records"]
    outputs = Outputs(aws_clients.sqs(), aws_clients.s3(), settings.queue_url, settings.bucket)
    outcome = Batch(records, rules).send_to(outputs)
    count(TransitionsSent=outcome.sent)
    if outcome.failed:
        count(TransitionRecordsFailed=len(outcome.failed))
        logger().error("records left in the stream", failed=len(outcome.failed), records=len(records))
    return report(records, outcome)
