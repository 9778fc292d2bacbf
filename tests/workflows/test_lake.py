"""Runs of the workflow and the rows that they add to the lake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from healthlake_export import lake_files as range_files
from local.testing.exported_content import export_instead, exported_keys, read_object
from local.testing.killed_functions import Death, KillableFunction, aws_calls_watched
from local.testing.lake_rows import lake_rows
from local.testing.mocked_hub import LAKE_BUCKET, REGION
from local.testing.range_lab import patient

LINES = [
    *(patient(number) for number in range(12)),
    b'{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"},"valueDecimal":1.10}',
    b"{corrupt",
    b'{"resourceType":"Observation","id":"o2","subject":{"reference":"Patient/p2"}}',
]
SOUND = sorted(line for line in LINES if line != b"{corrupt")


def rows_in_the_lake() -> list[dict[str, Any]]:
    """The rows of all files in the bucket."""
    s3 = boto3.client("s3", REGION)
    listed = s3.list_objects_v2(Bucket=LAKE_BUCKET).get("Contents", [])
    bodies = {
        entry["Key"]: s3.get_object(Bucket=LAKE_BUCKET, Key=entry["Key"])["Body"].read() for entry in listed
    }
    return lake_rows(bodies)


def rows_of(run: Any) -> list[dict[str, Any]]:
    return [row for row in rows_in_the_lake() if row["run_id"] == run.name]


def test_the_files_of_a_run_give_every_exported_line_back(hub: Any) -> None:
    kinds = ("Patient", "Organization", "Observation")
    hub.put(*((kind, f"{kind.lower()}-{number}") for kind in kinds for number in range(5)))

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    exported = [line for key in exported_keys(run.name) for line in read_object(key).splitlines()]
    rows = rows_of(run)
    assert sorted(row["resource"].encode() for row in rows) == sorted(exported)
    assert Counter(row["resource_type"] for row in rows) == dict.fromkeys(kinds, 5)
    assert run.output["rows"] == len(exported) == 15


def test_a_version_that_the_overlap_brings_again_is_no_row_again(hub: Any) -> None:
    hub.put(("Patient", "first"), ("Patient", "second"))
    hub.run()
    hub.put(("Patient", "second"), active=True)

    run = hub.run()

    assert run.output["repeated"] > 0
    versions = Counter((row["id"], row["version_id"]) for row in rows_in_the_lake())
    assert versions == {("first", "1"): 1, ("second", "1"): 1, ("second", "2"): 1}


def test_a_run_that_publishes_nothing_writes_its_rows(hub: Any) -> None:
    hub.configure(CHANGE_EVENTS="off")
    hub.put(("Patient", "p1"))

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert (run.output["rows"], run.output["published"]) == (1, 0)
    assert [row["id"] for row in rows_of(run)] == ["p1"]


def test_an_export_of_nothing_leaves_the_lake_empty(hub: Any) -> None:
    assert hub.run().status == "SUCCEEDED"
    assert rows_in_the_lake() == []


@pytest.fixture
def killable(hub: Any) -> Iterator[KillableFunction]:
    """The range function of a hub whose exports are one range of two types and a bad line."""
    hub.put(("Patient", "p1"))
    export_instead(hub, b"\n".join(LINES))
    function = KillableFunction(hub.bench.functions["ProcessRangeFunction"])
    hub.bench.functions["ProcessRangeFunction"] = function
    with aws_calls_watched():
        yield function


def test_a_range_function_killed_at_any_write_leaves_one_row_of_each_version_and_run(
    hub: Any, killable: KillableFunction
) -> None:
    undisturbed = hub.run({"full": True})
    assert undisturbed.status == "SUCCEEDED", undisturbed.cause
    writes = killable.writes
    assert writes.count("PutObject") >= 2, "a file of each type"

    for number, operation in enumerate(writes):
        killable.die([Death(number), Death(number, after=True)])

        run = hub.run({"full": True})

        where = f"killed at write {number}, {operation}"
        assert run.status == "SUCCEEDED", (where, run.cause)
        assert sorted(row["resource"].encode() for row in rows_of(run)) == SOUND, where
    assert killable.deaths == 2 * len(writes)


@pytest.mark.parametrize(("keep", "double"), [(1, False), (0, True)])
def test_a_range_function_that_drops_or_doubles_a_row_fails_the_run(
    hub: Any, monkeypatch: pytest.MonkeyPatch, keep: int, double: bool
) -> None:
    write = range_files.fhir_rows

    def other_rows(texts: Any, keys: Any) -> Any:
        last = -1 if double else len(texts)
        return write([*texts[keep:], *texts[last:]], [*keys[keep:], *keys[last:]])

    monkeypatch.setattr(range_files, "fhir_rows", other_rows)
    hub.put(("Patient", "p1"), ("Patient", "p2"), ("Patient", "p3"))

    run = hub.run()

    assert (run.status, run.error) == ("FAILED", "ReconciliationFailed")
    assert hub.state.watermark is None
