"""A range function that is killed, at every write that it makes, and tried again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from common.units import MEBIBYTE
from local.testing.exported_content import export_instead, read_object
from local.testing.killed_functions import Death, KillableFunction, aws_calls_watched
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
