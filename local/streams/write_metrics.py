"""What CloudWatch is told of writes to tables.

AWS documentation: Amazon DynamoDB Developer Guide, «DynamoDB metrics and dimensions»
(ConsumedWriteCapacityUnits) and «DynamoDB read and write operations»: a unit for each KB of the larger of
both images, changed or not. A write of a transaction counts once here, on AWS twice; indexes do not count.
"""

from __future__ import annotations

import math
import time
from typing import Any

from local.account.ministack_names import ministack
from local.cloudwatch import stored_metrics
from local.cloudwatch.embedded_metrics import Measured

NAMESPACE = "AWS/DynamoDB"


def put(table_name: str, images: tuple[Any, ...]) -> None:
    """Count one write of an item with these images; None for one that there is not."""
    size = ministack("ministack.services.dynamodb")._item_size_bytes
    units = float(max(1, *(math.ceil(size(image) / 1024) for image in images if image)))
    dimensions = {"TableName": table_name}
    stored_metrics.put(
        Measured(NAMESPACE, "ConsumedWriteCapacityUnits", "Count", dimensions, (units,), time.time())
    )
