"""What CloudWatch knows of the account's queues, measured when alarms are evaluated.

AWS documentation: Amazon SQS Developer Guide, «Available CloudWatch metrics for Amazon SQS». On AWS they are
measured every minute, for queues that were used in the last six hours; here for all queues.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from local.account.ministack_names import ministack
from local.cloudwatch import stored_metrics
from local.cloudwatch.embedded_metrics import Measured

COUNTS = {
    "ApproximateNumberOfMessagesVisible": "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible": "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed": "ApproximateNumberOfMessagesDelayed",
}
"""Metrics, and the attribute of a queue that each is."""


def measure(at: float) -> None:
    """Put the metrics of every queue of the account and region, as of `at` in epoch seconds."""
    sqs = ministack("ministack.services.sqs")
    for url, queue in list(sqs._queues.items()):
        sqs._refresh_counts(queue)
        for name, value, unit in _metrics_of(queue):
            dimensions = {"QueueName": url.rsplit("/", 1)[-1]}
            stored_metrics.put(Measured("AWS/SQS", name, unit, dimensions, (value,), at))


def _metrics_of(queue: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    counts = [(name, float(queue["attributes"][kept]), "Count") for name, kept in COUNTS.items()]
    sent = [message["sent_at"] for message in list(queue["messages"]) if "sent_at" in message]
    age = max(0.0, time.time() - min(sent)) if sent else 0.0
    return [*counts, ("ApproximateAgeOfOldestMessage", age, "Seconds")]
