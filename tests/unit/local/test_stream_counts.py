"""Transitions and rows that must come of writes, and what is counted as lost."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.demo.streams.items import PATIENT, Key
from local.demo.streams.lake_rows import Row, row_problems
from local.demo.streams.plan import INSERT, MODIFY, Plan, Write
from local.demo.streams.stream_count import StreamCount
from local.demo.streams.work_plan import (
    ARRIVED,
    QUEUED,
    TENTH_ITEM,
    TESTS_COMPLETE,
    JobState,
    Upload,
    WorkPlan,
    draw_work,
    work_problems,
)

COMPLETE = StreamCount(10, 8, 5, 4, 3, 8, 8, 5, 4, 3)
SOUND = Upload("uploads/someone/a", b"a\n")
PLAN = WorkPlan(
    [SOUND, Upload("uploads/b", b"b\n", taken=False)],
    [JobState("j", "RUNNING", 9), JobState("j", "TESTS_COMPLETE", 10), JobState("j", "TESTS_COMPLETE", 11)],
)


def _job(rule: str, phase: str = "DONE", digest: str = "") -> dict[str, Any]:
    return {"phase": {"S": phase}, "rule": {"S": rule}, "result": {"M": {"sha256": {"S": digest}}}}


DONE = [_job(ARRIVED, digest=SOUND.digest), _job(TENTH_ITEM)]


def test_nothing_is_lost_where_everything_has_arrived() -> None:
    assert COMPLETE.lost == 0
    assert all(check.holds for check in COMPLETE.checks())
    assert COMPLETE.document() == {
        "writes": 10,
        "changes": 8,
        "events": 8,
        "lakeRows": 8,
        "fhirWrites": 5,
        "transitions": 4,
        "jobsDone": 3,
        "lost": 0,
    }


@pytest.mark.parametrize("what", ["events", "lake_rows", "fhir_writes", "transitions", "jobs_done"])
def test_what_is_missing_at_any_end_is_lost(what: str) -> None:
    short = replace(COMPLETE, **{what: getattr(COMPLETE, what) - 2})

    assert short.lost == 2
    assert not all(check.holds for check in short.checks())


@pytest.mark.parametrize("what", ["events", "lake_rows", "transitions", "jobs_done"])
def test_what_was_never_written_does_not_make_up_for_what_is_lost(what: str) -> None:
    more = replace(COMPLETE, **{what: getattr(COMPLETE, what) + 1})

    assert more.lost == 0
    assert not all(check.holds for check in more.checks())


def test_what_arrives_and_says_something_else_does_not_hold() -> None:
    wrong = replace(COMPLETE, problems=["row of p: the item is another"])

    assert [check.numbers for check in wrong.checks() if not check.holds] == [
        "1 problems, first row of p: the item is another"
    ]


def test_transitions_follow_from_uploads_and_the_states_of_jobs() -> None:
    assert PLAN.transitions == {ARRIVED: 1, TENTH_ITEM: 1, TESTS_COMPLETE: 1}
    assert PLAN.jobs == 2
    assert work_problems(PLAN, DONE, 1) == (3, 2, [])


@pytest.mark.parametrize(
    ("jobs", "noted"),
    [
        (DONE[:1], 1),
        (DONE, 0),
        ([*DONE, _job(TENTH_ITEM)], 1),
        ([_job(ARRIVED, "FAILED", SOUND.digest), DONE[1]], 1),
        ([_job(ARRIVED, digest="of something else"), DONE[1]], 1),
    ],
)
def test_a_job_that_is_missing_failed_or_read_something_else_is_found(
    jobs: list[dict[str, Any]], noted: int
) -> None:
    assert work_problems(PLAN, jobs, noted)[2]


def test_drawn_work_has_every_rule_and_names_that_are_declared() -> None:
    drawn = draw_work("1", uploads=60, states=60)
    declared = json.loads(Path("functions/transitions/rules.json").read_text())["rules"]

    assert drawn == draw_work("1", uploads=60, states=60)
    assert drawn.transitions.keys() == {rule["name"] for rule in declared}
    assert set(QUEUED) == {rule["name"] for rule in declared if "queue" in rule["output"]}
    assert all(drawn.transitions.values())
    assert {upload.taken for upload in drawn.uploads} == {True, False}
    assert len({upload.key for upload in drawn.uploads}) == 60


KEY = Key("p", "PATIENT", PATIENT)
ONE, TWO = {"n": {"N": "1.25"}}, {"n": {"N": "12345678901234567890123456789012345678"}}
HISTORY = Plan([Write("put", KEY, None, ONE), Write("put", KEY, ONE, ONE), Write("put", KEY, ONE, TWO)])
ROWS = [
    Row("a", INSERT, PATIENT, "p", "PATIENT", "2026", "9", '{"n":1.25}', None),
    Row(
        "b",
        MODIFY,
        PATIENT,
        "p",
        "PATIENT",
        "2026",
        "10",
        '{"n":12345678901234567890123456789012345678}',
        '{"n":1.25}',
    ),
]


def test_rows_of_all_changes_have_no_problems_in_whatever_order_and_how_often_they_are_there() -> None:
    assert row_problems(HISTORY, [*reversed(ROWS), ROWS[0]]) == []


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[:1],
        [ROWS[0], replace(ROWS[1], item='{"n":12345678901234567890123456789012345679}')],
        [ROWS[0], replace(ROWS[1], old_item=None)],
        [ROWS[0], replace(ROWS[1], change="INSERT")],
        [replace(ROWS[0], sequence_number="11"), ROWS[1]],
        [replace(ROWS[0], stream_label="2027"), ROWS[1]],
        [*ROWS, replace(ROWS[0], event_id="c", item_id="q")],
    ],
)
def test_a_row_that_is_missing_or_says_something_else_is_found(rows: list[Row]) -> None:
    assert row_problems(HISTORY, rows)
