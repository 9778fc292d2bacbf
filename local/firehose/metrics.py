"""What CloudWatch counts of delivery streams, in the namespace AWS/Firehose by DeliveryStreamName.

AWS documentation: «Monitor Amazon Data Firehose using CloudWatch metrics».
"""

from __future__ import annotations

from local.account.ministack_names import ministack
from local.firehose.destinations import Destination

NAMESPACE = "AWS/Firehose"


def put(destination: Destination, **values: float) -> None:
    """Keep the values, whose names have `__` for the dot, in the stream's account and region."""
    responses = ministack("ministack.core.responses")
    responses.set_request_account_id(destination.account_id)
    responses.set_request_region(destination.region)
    record = ministack("ministack.services.cloudwatch").record_metric
    dimensions = {"DeliveryStreamName": destination.stream_name}
    for name, value in values.items():
        record(NAMESPACE, name.replace("__", "."), float(value), _unit(name), dimensions)


def _unit(name: str) -> str:
    if name.endswith("Bytes"):
        return "Bytes"
    if name.endswith("DataFreshness"):
        return "Seconds"
    return "Milliseconds" if name.endswith("Duration") else "Count"
