"""The pipe from the records to the bus has bounds that fit what it reads, enriches and sends."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from change_stream.errors import Malformed, Unmapped
from change_stream.settings import ChangeStreamSettings
from local.testing.template_reader import Expanded

DAY = 86_400
PUT_EVENTS_ENTRIES = 10
STREAM_KEPT = DAY
RULE_RETRIES = DAY


def test_a_batch_is_no_larger_than_the_bus_takes(expanded: Expanded) -> None:
    """Pipes refuses a larger one (Amazon EventBridge User Guide, «Batching and concurrency»)."""
    source = expanded.properties("RecordsPipe")["SourceParameters"]["DynamoDBStreamParameters"]
    assert source["BatchSize"] == PUT_EVENTS_ENTRIES


def test_a_record_that_fails_holds_nothing_up_and_can_be_read_again(expanded: Expanded) -> None:
    source = expanded.properties("RecordsPipe")["SourceParameters"]["DynamoDBStreamParameters"]
    assert source["OnPartialBatchItemFailure"] == "AUTOMATIC_BISECT"
    assert 0 < source["MaximumRetryAttempts"] <= 100
    assert source["MaximumRecordAgeInSeconds"] <= STREAM_KEPT / 2
    assert source["StartingPosition"] == "TRIM_HORIZON"


def test_the_filter_lets_every_kind_of_change_through(expanded: Expanded) -> None:
    (one,) = expanded.properties("RecordsPipe")["SourceParameters"]["FilterCriteria"]["Filters"]
    assert json.loads(one["Pattern"]) == {"eventName": ["INSERT", "MODIFY", "REMOVE"]}


def test_both_pipes_take_ten_batches_of_a_shard_at_once(expanded: Expanded) -> None:
    """Order by item stays (Amazon EventBridge User Guide, «Amazon EventBridge Pipes batching and
    concurrency»); ten is the most (API Reference, «PipeSourceDynamoDBStreamParameters»)."""
    pipes = expanded.of_type("AWS::Pipes::Pipe").values()
    sources = [one["SourceParameters"]["DynamoDBStreamParameters"] for one in pipes]
    assert [one["ParallelizationFactor"] for one in sources] == [10, 10]


def test_an_event_is_named_and_timed_by_its_change(expanded: Expanded) -> None:
    target = expanded.properties("RecordsPipe")["TargetParameters"]["EventBridgeEventBusParameters"]
    assert target == {
        "Source": "healthlake-hub.records",
        "DetailType": "$.meta.change",
        "Time": "$.meta.time",
    }


def test_details_outlive_every_way_of_their_events(template: dict[str, Any], expanded: Expanded) -> None:
    """An event is tried for a day, lies in a queue, in its dead-letter queue, and in the queue once more."""
    queues = expanded.of_type("AWS::SQS::Queue").values()
    kept = [queue.get("MessageRetentionPeriod", 4 * DAY) for queue in queues]
    source, dead = max(one for one in kept if one < 14 * DAY), max(kept)
    shortest = template["Parameters"]["ChangeRetentionDays"]["MinValue"] * DAY
    assert shortest > RULE_RETRIES + source + dead + source


def test_both_enrichments_find_their_settings(template: dict[str, Any]) -> None:
    shared = template["Globals"]["Function"]["Environment"]["Variables"]
    for name in ("EnrichChangesFunction", "PrepareLakeRowsFunction"):
        own = template["Resources"][name]["Properties"]["Environment"]["Variables"]
        variables = dict.fromkeys({**shared, **own}, "given") | {"MAX_INLINE_BYTES": "204800"}
        assert ChangeStreamSettings.read(variables).max_inline_bytes == 204_800


@pytest.mark.parametrize(
    ("alarm", "reasons"), [("records-quarantined", Malformed), ("records-not-mapped", Unmapped)]
)
def test_the_runbook_has_every_reason_once(root: Path, alarm: str, reasons: type[StrEnum]) -> None:
    runbook = (root / "docs" / "runbook.md").read_text(encoding="utf-8")
    section = runbook.split(f"\n### {alarm}\n", 1)[1].split("\n### ", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([A-Z0-9_]+)`", "".join(rows))) == sorted(reasons)
