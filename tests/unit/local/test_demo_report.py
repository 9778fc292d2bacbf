"""The demo's verdict: each sum that does not add up is found."""

from dataclasses import replace
from typing import Any

import pytest

from local.cli.executions import Finished
from local.cli.export import Run
from local.demo.lake_count import LakeCount
from local.demo.redrive_count import RedriveCount
from local.demo.report import Report
from local.demo.streams.stream_count import StreamCount

REDRIVE = RedriveCount(
    sent=frozenset({"good", "poison"}),
    poison=frozenset({"poison"}),
    dead=frozenset({"good", "poison"}),
    by_sqs=frozenset({"good", "poison"}),
    one_by_one=frozenset({"poison"}),
    processed=frozenset({"good"}),
    quarantined=frozenset({"poison"}),
    emptied=True,
)

STREAMS = StreamCount(10, 8, 5, 4, 3, 8, 8, 5, 4, 3)


def _run(run_id: str, since: str | None, published: int, repeated: int = 0, **changed: Any) -> Run:
    output = {
        "status": "COMPLETED",
        "since": since,
        "jobId": f"job-{run_id}",
        "files": 2,
        "ranges": 3,
        "lines": published + repeated,
        "published": published,
        "repeated": repeated,
        "quarantined": 0,
    } | changed
    return Run(Finished(f"arn:{run_id}", "SUCCEEDED", 4.21, output, "", ""), transitions=12)


def _report() -> Report:
    report = Report(
        loaded=10,
        rejected=1,
        changed=4,
        events_on_bus=14,
        distinct_event_ids=14,
        queue_drained=True,
        lake=LakeCount({"one": 10, "two": 4}, resources=12, latest=12),
        redrive=REDRIVE,
        streams=STREAMS,
        patients=2,
        joined=2,
    )
    report.add_run(_run("one", None, 10), 10)
    report.add_run(_run("two", "2026-01-01T00:00:00Z", 4, 7), 4)
    return report


def test_a_demo_that_adds_up_passes_every_check() -> None:
    assert [check.name for check in _report().checks() if not check.holds] == []


def test_the_document_has_the_shape_that_programs_read() -> None:
    document = _report().document()

    assert list(document) == [
        "loaded",
        "rejected",
        "changed",
        "runs",
        "eventsOnBus",
        "distinctEventIds",
        "lake",
        "redrive",
        "streams",
    ]
    assert document["lake"] == {"rows": 14, "resources": 12, "current": 12}
    assert document["redrive"] == REDRIVE.document()
    assert document["streams"] == STREAMS.document()
    assert document["runs"][0] == {
        "runId": "one",
        "status": "COMPLETED",
        "since": None,
        "jobId": "job-one",
        "files": 2,
        "ranges": 3,
        "lines": 10,
        "published": 10,
        "repeated": 0,
        "quarantined": 0,
        "seconds": 4.2,
        "stateTransitions": 12,
    }


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ({"loaded": 11}, "full run published what was loaded"),
        ({"changed": 3}, "incremental run published what was changed"),
        ({"events_on_bus": 15}, "events on the bus = distinct event ids = all published"),
        (
            {"lake": LakeCount({"one": 10, "two": 3}, 12, 12)},
            "rows of both runs in the lake, by SQL = published",
        ),
        (
            {"lake": LakeCount({"one": 10, "two": 4}, 12, 13)},
            "the lake's current versions = its resources",
        ),
        ({"queue_drained": False}, "every event at the bus was counted"),
        ({"distinct_event_ids": 13}, "events on the bus = distinct event ids = all published"),
        ({"redrive": replace(REDRIVE, emptied=False)}, "dead letters: nothing waits in either queue"),
        ({"joined": 1}, "change streams: patients of the table came out of the export"),
        (
            {"streams": replace(STREAMS, events=9)},
            "change streams: distinct events at the bus = changes",
        ),
    ],
)
def test_a_count_that_differs_fails_its_check(wrong: dict[str, Any], check: str) -> None:
    report = replace(_report(), **wrong)

    assert [found.name for found in report.checks() if not found.holds] == [check]


def test_a_line_that_is_not_accounted_for_fails_its_run() -> None:
    report = _report()
    report.runs[1] = {**report.runs[1], "lines": 12}

    assert [found.name for found in report.checks() if not found.holds] == [
        "incremental run: lines = published + repeated + quarantined"
    ]


def test_too_many_state_transitions_fail_their_run() -> None:
    report = _report()
    report.runs[0] = {**report.runs[0], "stateTransitions": 25}

    assert [found.numbers for found in report.checks() if not found.holds] == ["25 ≤ 24"]
