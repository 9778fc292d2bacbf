"""Records what happens to objects of the uploads bucket."""

from __future__ import annotations

from collections import Counter
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import count, lambda_entry, logger
from uploads.notifications import notifications, object_events
from uploads.settings import upload_settings
from uploads.upload_items import Recorded, UploadItems, item_id


@lambda_entry
def lambda_handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, int]:
    """Triggered asynchronously by the uploads topic, whose messages wrap Amazon S3's notifications.

    Returns how many events became what (`Recorded`), by name. Raises `UnreadableNotification`,
    `InvalidSetting` and `AwsCallFailed`; Lambda then calls again, and what was recorded before is stale then.
    Logs name items, which are hashes, and no keys.
    """
    settings = upload_settings()
    items = UploadItems(aws_clients.dynamodb(), settings.table, settings.most_bytes)
    became: Counter[str] = Counter()
    for notification in notifications(event):
        for one in object_events(notification):
            outcome = items.record(one)
            became[outcome] += 1
            logger().info(
                "object event recorded",
                item=item_id(one.bucket, one.key),
                happened=one.happened,
                outcome=outcome,
            )
    count(
        UploadsRecorded=became[Recorded.UPLOADED],
        UploadsRejected=became[Recorded.REJECTED],
        UploadsDeleted=became[Recorded.DELETED],
    )
    return dict(became)
