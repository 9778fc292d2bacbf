"""What a compaction reads, what it deletes, and that it orders versions as the view does."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.cli.lake.compaction import EVERYTHING, MOST_DAYS, UP_TO_DATE, Plan, plan
from local.cli.lake.compaction_sql import COLUMNS, LATEST_FIRST, SAME_RESOURCE, continued, unloaded
from local.cli.lake.generations import GRACE, Generations, generation_name, outdated, prefix_of
from local.cli.lake.source_files import Coverage, SourceFile, SourceFiles
from local.testing.template_reader import read

ROOT = Path(__file__).parents[3]
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def file(number: int, day: str = "2026-11-19", size: int = 100) -> SourceFile:
    key = f"fhir/resource_type=Patient/export_date={day}/run-{number:06d}.parquet"
    return SourceFile(key, f'"{number}"', NOON + timedelta(seconds=number), size)


OLD = SourceFiles(tuple(file(number) for number in range(10)))
COVERED = OLD.coverage()
NEW = file(20, "2026-11-20")


def test_nothing_is_read_when_nothing_has_come() -> None:
    assert plan(OLD, COVERED, held_bytes=100) == UP_TO_DATE


def test_new_files_are_read_with_their_whole_days() -> None:
    assert plan(SourceFiles((*OLD.files, NEW)), COVERED, held_bytes=100) == Plan(
        "new files", frozenset({"2026-11-20"})
    )


@pytest.mark.parametrize(
    "sources",
    [
        SourceFiles((*OLD.files[1:], NEW)),
        SourceFiles((replace(OLD.files[0], etag='"else"'), *OLD.files[1:], NEW)),
        SourceFiles((replace(NEW, modified=NOON), *OLD.files)),
    ],
    ids=["a file is gone", "a file is another", "a file of an earlier time"],
)
def test_everything_is_read_when_what_was_covered_has_changed(sources: SourceFiles) -> None:
    assert plan(sources, COVERED, held_bytes=100) == EVERYTHING


def test_everything_is_read_where_that_is_not_more() -> None:
    assert plan(SourceFiles((*OLD.files, NEW)), COVERED, held_bytes=1000) == EVERYTHING


def test_everything_is_read_when_nothing_is_known_of_the_partition() -> None:
    assert plan(OLD, None, held_bytes=0) == EVERYTHING


def test_everything_is_read_when_a_statement_could_not_hold_the_days() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    days = [f"{first + timedelta(days=number):%Y-%m-%d}" for number in range(MOST_DAYS + 1)]
    fresh = [file(number + 20, day, size=1) for number, day in enumerate(days)]
    assert plan(SourceFiles((*OLD.files, *fresh)), COVERED, held_bytes=1) == EVERYTHING


def test_coverage_survives_being_written_down() -> None:
    assert COVERED is not None
    assert Coverage.in_parameters(COVERED.parameters()) == COVERED
    assert Coverage.in_parameters({"another": "parameter"}) is None


def name(hours_ago: float) -> str:
    return generation_name(NOON - timedelta(hours=hours_ago), "0123abcd")


def test_what_is_in_use_and_what_was_until_now_are_kept() -> None:
    daily = [name(48), name(24), name(0)]
    assert outdated(daily, current=name(0), now=NOON) == [name(48)]


def test_what_followed_too_soon_is_kept() -> None:
    assert outdated([name(1), name(0.5), name(0)], current=name(0), now=NOON) == []


def test_what_a_killed_compaction_left_goes_once_another_has_followed_it() -> None:
    grace = GRACE.total_seconds() / 3600
    left, followed = name(grace + 2), name(grace + 1)
    assert outdated([left], current=None, now=NOON) == []
    assert outdated([left, followed], current=followed, now=NOON) == [left]


def test_what_is_in_use_is_kept_although_others_follow_it() -> None:
    assert outdated([name(72), name(48), name(24)], current=name(72), now=NOON) == [name(48)]


def test_what_is_named_otherwise_is_left_alone() -> None:
    assert outdated(["mine", name(48), name(24)], current=None, now=NOON) == [name(48)]


def test_a_generation_is_known_by_its_location() -> None:
    generations = Generations(None, "lake")
    location = generations.location("Patient", name(1))
    assert location == f"s3://lake/{prefix_of('Patient', name(1))}"
    assert generations.name_in("Patient", location) == name(1)
    for other in (
        "s3://lake/elsewhere/",
        "s3://another/current/resource_type=Patient/x/",
        f"{location}below/",
    ):
        assert generations.name_in("Patient", other) is None


def test_versions_are_ordered_as_in_the_view() -> None:
    resources = read(ROOT / "template.yaml")["Resources"]
    text = resources["FhirCurrentView"]["Properties"]["TableInput"]["ViewOriginalText"]["Fn::Sub"][1]["View"]
    view = " ".join(text["Fn::Base64"]["Fn::Sub"].split())
    assert f"PARTITION BY {SAME_RESOURCE} ORDER BY {LATEST_FIRST})" in view


def test_columns_are_those_of_the_table() -> None:
    resources = read(ROOT / "template.yaml")["Resources"]
    table = resources["FhirLatestTable"]["Properties"]["TableInput"]
    assert COLUMNS.split(", ") == [one["Name"] for one in table["StorageDescriptor"]["Columns"]]
    assert [one["Name"] for one in table["PartitionKeys"]] == ["resource_type"]


def test_a_statement_names_one_type_and_the_days() -> None:
    sql = unloaded(continued("Patient", {"2026-11-20", "2026-11-19"}), "s3://lake/current/x/")
    assert sql.startswith("UNLOAD (SELECT ")
    assert sql.endswith("TO 's3://lake/current/x/' WITH (format = 'PARQUET', compression = 'ZSTD')")
    assert re.findall(r"export_date IN \((.*?)\)", sql) == ["'2026-11-19', '2026-11-20'"]
    assert len(re.findall(r"resource_type = 'Patient'", sql)) == 2
