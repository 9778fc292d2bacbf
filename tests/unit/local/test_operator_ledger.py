"""`ledger`: its items, and the proof that a run lost nothing - which has to fail when it did."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from healthlake_export.ndjson import RangeLines
from healthlake_export.table_keys import erasure_key
from local.cli.errors import CommandError
from local.cli.operations.exported_lines import LineCounter
from local.cli.operations.hub import DeployedHub
from local.cli.operations.ledger import ledger, verify
from local.cli.output import Output
from local.erasure.stack_buckets import StackBuckets, StackResource
from local.erasure.sweep import Sweep

if TYPE_CHECKING:
    from tests.unit.local.conftest import FakeStates, Written


def verified(hub: DeployedHub, *, read: bool = False) -> tuple[int, dict[str, bool]]:
    """The exit status, and whether each check holds."""
    shown = io.StringIO()
    status = verify(hub, Output(shown, as_json=True), "run", read=read)
    document = json.loads(shown.getvalue())
    assert document["holds"] is (status == 0)
    return status, {one["check"]: one["holds"] for one in document["checks"]}


def test_the_ledger_of_a_run_is_a_table_of_its_byte_ranges(hub: DeployedHub, written: Written) -> None:
    written.run()
    shown = io.StringIO()

    ledger(hub, Output(shown), "run", None)

    header, first, second = shown.getvalue().splitlines()
    assert header.split()[:4] == ["index", "start", "end", "lines"]
    assert first.split() == [
        "0",
        "0",
        "22",
        "2",
        "0",
        "2",
        "2",
        "0",
        "0",
        "0",
        "0",
        "yes",
        "Patient/Patient-0.ndjson",
    ]
    assert second.split()[:4] == ["1", "22", "33", "1"]


def test_one_byte_range_is_shown_alone(hub: DeployedHub, written: Written) -> None:
    written.run()
    shown = io.StringIO()

    ledger(hub, Output(shown, as_json=True), "run", 1)

    assert [one["index"] for one in json.loads(shown.getvalue())["ledger"]] == [1]


def test_a_byte_range_without_an_item_is_said_to_have_none(hub: DeployedHub, written: Written) -> None:
    written.run()

    with pytest.raises(CommandError, match="Byte range 9"):
        ledger(hub, Output(io.StringIO()), "run", 9)


def test_a_run_that_lost_nothing_is_proven(hub: DeployedHub, written: Written) -> None:
    written.run()

    assert verified(hub, read=True) == (
        0,
        {
            "run completed": True,
            "ledger reconciles": True,
            "same as the audit item": True,
            "Patient/Patient-0.ndjson": True,
            "quarantine": True,
            "lake": True,
        },
    )


def test_a_run_that_exported_nothing_is_proven(hub: DeployedHub, written: Written) -> None:
    counts = ("files", "ranges", "bytes", "lines", "rows", "published", "repeated", "quarantined")
    written.audit("run", **dict.fromkeys(counts, 0), exportErrors=0)

    assert verified(hub, read=True)[0] == 0


SILENT = {"files": 1, "ranges": 2, "bytes": 33, "lines": 3, "rows": 3, "published": 0, "exportErrors": 0}


@pytest.mark.parametrize(
    ("told", "proven"),
    [({"events": False}, True), ({"events": True}, False), ({}, True)],
    ids=["a silent run", "a run that was to publish", "a run from before audit items told of events"],
)
def test_a_run_that_published_nothing_is_proven_only_if_it_was_to_be_silent(
    hub: DeployedHub, written: Written, told: dict[str, bool], proven: bool
) -> None:
    for item in written.run():
        written.ledger("run", replace(item, published=0))
    written.audit("run", **SILENT, **told)

    assert verified(hub)[1]["ledger reconciles"] is proven


def test_a_range_that_published_too_little_is_found(hub: DeployedHub, written: Written) -> None:
    first, _ = written.run()
    written.ledger("run", replace(first, published=1))

    assert verified(hub) == (1, {"run completed": True, "ledger reconciles": False})


def test_a_run_whose_audit_item_says_more_than_its_ledger_is_found(
    hub: DeployedHub, written: Written
) -> None:
    written.run()
    written.audit("run", files=1, ranges=2, bytes=33, lines=4, rows=4, published=4, exportErrors=0)

    assert verified(hub)[1]["same as the audit item"] is False


def test_a_row_that_the_lake_lost_is_found(hub: DeployedHub, written: Written) -> None:
    written.run()
    written.lake_file("run", 0, rows=1)

    assert verified(hub, read=True)[1]["lake"] is False


def test_rows_of_patients_that_were_erased_since_are_not_missing(hub: DeployedHub, written: Written) -> None:
    written.run()
    written.lake_file("run", 0, rows=1)
    written.item(erasure_key(hub.datastore_id, "someone"))

    assert verified(hub, read=True)[1]["lake"] is True


@pytest.mark.parametrize(("verified_at", "holds"), [("2025-12-31", False), ("2026-12-31", True)])
def test_an_erasure_that_ended_before_the_run_explains_no_missing_row(
    hub: DeployedHub, written: Written, verified_at: str, holds: bool
) -> None:
    written.run()
    written.lake_file("run", 0, rows=1)
    key = erasure_key(hub.datastore_id, "someone")
    written.item(key, verifiedAt=f"{verified_at}T00:00:00.000Z")

    assert verified(hub, read=True)[1]["lake"] is holds


def test_a_line_that_the_ledger_never_saw_is_found_by_reading_the_file(
    hub: DeployedHub, written: Written
) -> None:
    """Bytes and sums of the ledger are right: only a second count of the file tells."""
    first, _ = written.run(lines=(b"{}\n", b"{}\n", b"{}\n", b"{}\n"))
    written.ledger("run", replace(first, lines=2, rows=2, lake_rows=2, published=2))
    written.lake_file("run", 0, rows=2)
    written.audit("run", files=1, ranges=2, bytes=12, lines=3, rows=3, published=3, exportErrors=0)

    assert verified(hub)[0] == 0
    status, checks = verified(hub, read=True)
    assert status == 1
    assert [name for name, holds in checks.items() if not holds] == ["Patient/Patient-0.ndjson"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_file_that_lines_were_erased_from_proves_its_run_as_before(
    hub: DeployedHub, written: Written, times: int
) -> None:
    resources = [f'{{"resourceType":"Patient","id":"p-{number}"}}\n'.encode() for number in range(4)]
    first, _ = written.run(lines=resources)
    bucket = StackResource("HubBucket", "AWS::S3::Bucket", hub.bucket)
    for number in range(times):
        Sweep(hub.client("s3"), StackBuckets.among([bucket]), f"p-{number}").run(lambda _: None)

    assert verified(hub, read=True)[0] == 0

    written.object(first.key, b"".join(resources[:times]))
    assert verified(hub, read=True)[1]["Patient/Patient-0.ndjson"] is False


def test_a_file_that_was_replaced_is_found(hub: DeployedHub, written: Written) -> None:
    first, _ = written.run()
    written.object(first.key, b'{"id":"x"}\n' * 3)

    assert verified(hub, read=True)[1]["Patient/Patient-0.ndjson"] is False


def test_a_run_whose_plan_has_expired_is_not_called_proven(hub: DeployedHub, written: Written) -> None:
    written.run()
    hub.client("s3").delete_object(Bucket=hub.bucket, Key="runs/run/ranges.json")

    assert verified(hub) == (1, {"run completed": True, "plan": False})


def test_a_quarantined_record_that_is_gone_is_found(hub: DeployedHub, written: Written) -> None:
    _, last = written.run()
    written.ledger("run", replace(last, rows=0, published=0, quarantined=1))
    counts = {"lines": 3, "rows": 2, "published": 2, "quarantined": 1}
    written.audit("run", files=1, ranges=2, bytes=33, exportErrors=0, **counts)

    assert verified(hub, read=True)[1]["quarantine"] is False


@given(
    content=st.lists(st.sampled_from([b"\n", b"\r\n", b" ", b"\xef\xbb\xbf", b"{}", b"x"])).map(b"".join),
    size=st.integers(1, 7),
)
def test_lines_are_counted_as_the_functions_count_them(content: bytes, size: int) -> None:
    chunks = [content[at : at + size] for at in range(0, len(content), size)]
    theirs = RangeLines(iter(chunks), start=0, end=len(content))
    list(theirs)

    assert LineCounter().read(chunks) == theirs.lines


@pytest.mark.parametrize(
    ("content", "lines"),
    [(b"", 0), (b"{}", 1), (b"{}\n\n{}\r\n  \n", 2), (b"\xef\xbb\xbf\n{}", 1), (b"\xef\xbb", 1)],
)
def test_lines_with_text_are_counted(content: bytes, lines: int) -> None:
    assert LineCounter().read([content[:1], content[1:]]) == lines


def test_a_run_that_left_nothing_in_the_table_has_no_ledger_and_cannot_be_verified(
    hub: DeployedHub, states: FakeStates
) -> None:
    states.add("turned-away")

    with pytest.raises(CommandError, match="table has no run turned-away"):
        verify(hub, Output(io.StringIO()), "turned-away", read=False)
    with pytest.raises(CommandError, match="table has no run turned-away"):
        ledger(hub, Output(io.StringIO()), "turned-away", None)
