"""What is kept of byte ranges that failed."""

from __future__ import annotations

from typing import Any

from common import aws_clients
from healthlake_export.errors import EventsNotAccepted, RangeChanged
from healthlake_export.range_failures import RangeFailures
from healthlake_export.table_keys import ledger_key


def test_the_first_range_that_failed_for_good_is_told(hub: Any) -> None:
    failures = RangeFailures(aws_clients.dynamodb(), hub.settings.table, "run")
    assert failures.first() is None

    failures.record(7, RangeChanged("The object has changed."))
    failures.record(3, EventsNotAccepted("Throttled."))
    failures.record(3, EventsNotAccepted("Throttled for longer."))
    assert failures.first() == "Byte range 3: EventsNotAccepted: Throttled for longer."

    aws_clients.dynamodb().put_item(TableName=hub.settings.table, Item=ledger_key("run", 3))
    assert failures.first() == "Byte range 7: RangeChanged: The object has changed."
