from __future__ import annotations

from typing import Any, cast

import pytest

from common.units import MEBIBYTE
from healthlake_export import export_planning
from healthlake_export.byte_ranges import ExportedObject
from healthlake_export.errors import TooManyRanges
from healthlake_export.export_planning import MAX_RANGES, ExportPlanner
from healthlake_export.fhir_export_api import ExportJob
from local.testing.fake_services import FakeS3
from local.testing.range_lab import RUN


def plan(s3: FakeS3, monkeypatch: pytest.MonkeyPatch, *sizes: int) -> dict[str, Any]:
    """Plan a run whose export has files of these sizes, with ranges of a megabyte."""
    listed = [ExportedObject(f"exports/Patient/{number}", size, '"e"') for number, size in enumerate(sizes)]
    monkeypatch.setattr(export_planning, "list_objects", lambda s3, bucket, prefix: listed)
    job = ExportJob("job", "COMPLETED", tuple(f"s3://hub-bucket/{one.key}" for one in listed))
    return ExportPlanner(cast(Any, s3), "hub-bucket", MEBIBYTE, RUN).plan(job)


def test_an_export_of_as_many_ranges_as_a_map_takes_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = FakeS3()
    sizes = [(MAX_RANGES - 2) * MEBIBYTE - 7, 0, MEBIBYTE + 1]
    assert plan(s3, monkeypatch, *sizes)["ranges"] == MAX_RANGES
    assert list(s3.objects) == ["runs/run-1/ranges.json"]


def test_an_export_of_more_ranges_is_refused_with_the_setting_to_raise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3 = FakeS3()
    message = r"80001 byte ranges of 1 MB, and a run can process 80000: raise RangeSizeMegabytes"
    with pytest.raises(TooManyRanges, match=message):
        plan(s3, monkeypatch, (MAX_RANGES - 1) * MEBIBYTE, MEBIBYTE + 1)
    assert s3.objects == {}


def test_an_export_of_more_files_is_refused_with_what_helps_against_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export_planning, "MAX_RANGES", 2)
    with pytest.raises(TooManyRanges, match="3 files of at least one range; export some types at a time"):
        plan(FakeS3(), monkeypatch, 1, 1, 1)


def test_the_results_of_all_children_fit_into_the_output_of_a_state() -> None:
    assert len("{},") * MAX_RANGES < 256 * 1024
