"""A range function that is killed, at every write that it makes, and tried again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from threading import Event
from typing import Any

import boto3
import pytest

from common.errors import HubError
from common.units import MEBIBYTE
from healthlake_export.ledger import Ledger, LedgerItem
from healthlake_export.range_failures import RangeFailures
from local.cli.operations.run_items import read_ledger
from local.testing.exported_content import export_instead, read_object
from local.testing.killed_functions import Death, KillableFunction, aws_calls_watched
from local.testing.mocked_hub import REGION, TABLE
from local.testing.patience import PATIENCE_SECONDS
from local.testing.range_lab import patient, text_of
from local.testing.refusing_bus import bus_refusing

SOUND = [patient(number) for number in range(23)]
CORRUPT = b"{corrupt"
LARGE_CORRUPT = b'{"resourceType":"Patient","id":7,"text":"%b"}' % (b"x" * MEBIBYTE)
REFUSED = b'{"resourceType":"Patient","id":"refused","text":"%b"}' % (b"x" * 6 * MEBIBYTE)
BAD = (CORRUPT, LARGE_CORRUPT, REFUSED)
CONTENT = b"\n".join([*SOUND[:15], *BAD, *SOUND[15:], b""])


def refuse_one(entry: Mapping[str, Any]) -> str | None:
    return "MalformedDetail" if '"id":"refused"' in entry["Detail"][:300] else None


@pytest.fixture
def killable(hub: Any) -> Iterator[KillableFunction]:
    """The range function of a hub whose exports are one range of sound lines and bad ones: one is small, one
    has an object of its own, and one is copied within S3 after the bus has refused its event."""
    hub.configure(RANGE_SIZE_MEGABYTES="64")
    hub.put(("Patient", "p1"))
    export_instead(hub, CONTENT)
    function = KillableFunction(hub.bench.functions["ProcessRangeFunction"])
    hub.bench.functions["ProcessRangeFunction"] = function
    with bus_refusing(refuse_one), aws_calls_watched():
        yield function


def quarantined_lines(hub: Any, run: Any) -> set[bytes]:
    """What lies in a run's quarantine."""
    records = [record for record in hub.quarantined() if f"/{run.name}/" in record["source"]["key"]]
    return {text_of(record, read_object).rstrip() for record in records}


def test_a_range_function_killed_at_any_write_and_tried_again_loses_nothing_and_repeats_under_the_same_ids(
    hub: Any, killable: KillableFunction
) -> None:
    whole = hub.run({"full": True})
    assert (whole.status, whole.output["published"]) == ("SUCCEEDED", len(SOUND)), whole.cause
    ids = {event["meta"]["eventId"] for event in hub.resource_events(whole)}
    writes = killable.writes
    assert set(writes) >= {"PutEvents", "PutObject", "UploadPartCopy", "TransactWriteItems"}

    for number, operation in enumerate(writes):
        where = f"killed at write {number}, {operation}"
        killable.die([Death(number), Death(number, after=True)])

        run = hub.run({"full": True})

        assert run.status == "SUCCEEDED", (where, run.cause)
        counts = ("lines", "rows", "published", "repeated", "quarantined", "bytes")
        assert [run.output[name] for name in counts] == [whole.output[name] for name in counts], where
        assert {event["meta"]["eventId"] for event in hub.resource_events(run)} == ids, where
        assert quarantined_lines(hub, run) == set(BAD), where
    assert killable.deaths == 2 * len(writes)


@dataclass
class LateContext:
    """The context of an invocation that has hardly any time left."""

    whole: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)

    def get_remaining_time_in_millis(self) -> int:
        return 15_000


@pytest.fixture
def last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no range end before its last words have been written."""
    said = Event()
    record, write = RangeFailures.record, Ledger.write

    def record_and_tell(failures: RangeFailures, index: int, error: HubError) -> None:
        record(failures, index, error)
        said.set()

    def write_after(ledger: Ledger, entry: LedgerItem) -> None:
        assert said.wait(PATIENCE_SECONDS)
        write(ledger, entry)

    monkeypatch.setattr(RangeFailures, "record", record_and_tell)
    monkeypatch.setattr(Ledger, "write", write_after)


@pytest.fixture
def timing_out(hub: Any, last_words: None) -> Iterator[KillableFunction]:
    """A hub whose ranges of patients time out before they reach the ledger; one bad line is among them."""
    hub.configure(MAX_CONCURRENCY="1")
    hub.put(("Group", "g1"), ("Patient", "p1"))
    process = hub.bench.functions["ProcessRangeFunction"]
    export_instead(hub, b"\n".join([*SOUND, CORRUPT]), "Patient")
    killed = KillableFunction(process)
    killed.die(repeat(Death("TransactWriteItems", error="Sandbox.Timedout")))

    def process_late(event: Any, context: Any) -> Any:
        of_patients = event["range"]["resourceType"] == "Patient"
        return (killed if of_patients else process)(event, LateContext(context))

    hub.bench.functions["ProcessRangeFunction"] = process_late
    with aws_calls_watched():
        yield killed


def test_a_range_function_that_times_out_for_good_fails_the_run_and_leaves_word_of_where(
    hub: Any, timing_out: KillableFunction
) -> None:
    run = hub.run()

    assert (run.status, run.error) == ("FAILED", "ExceedToleratedFailureThreshold")
    assert {child.error for child in run.children} == {None, "Sandbox.Timedout"}
    assert timing_out.deaths == 7, "tried again as often as the definition says"
    assert run.cause.startswith("Byte range 1: RangeTimedOut: ")
    assert (hub.state.watermark, hub.state.owner) == (None, None)
    client = boto3.client("dynamodb", REGION)
    assert [item.index for item in read_ledger(client, TABLE, run.name)] == [0], "range 1 is missing"
    assert quarantined_lines(hub, run) == {CORRUPT}


def test_after_a_range_function_has_timed_out_for_good_the_next_run_catches_up(
    hub: Any, timing_out: KillableFunction
) -> None:
    failed = hub.run()
    timing_out.die(())

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert (run.output["published"], run.output["quarantined"]) == (len(SOUND) + 1, 1)
    ids = {event["meta"]["eventId"] for event in hub.resource_events(run)}
    assert {event["meta"]["eventId"] for event in hub.resource_events(failed)} <= ids
