"""The benchmark of the range function measures the work that it names."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench import range_function
from bench.fhir_data import BenchData, BenchInput
from bench.tools import duckdb_text
from bench.work_processes import WorkCase, measure

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'functions'}"}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> BenchInput:
    return BenchData(cache=tmp_path_factory.mktemp("data")).input("mixed", 300_000)


def case(given: BenchInput, work: str, processes: int = 1) -> WorkCase:
    module = "bench.range_function_work"
    return WorkCase(given.kind, module, work, given.path, given.size, given.path, processes)


def broken(given: BenchInput) -> BenchInput:
    path = given.path.with_name("broken.ndjson")
    path.write_bytes(b"{\n" * 9)
    return BenchInput(given.kind, path, given.made_up)


def test_every_part_of_the_work_can_be_measured(given: BenchInput, tmp_path: Path) -> None:
    works = ("read", "scan", "write", "parquet", "events", "both")

    found = measure([case(given, work) for work in works], 1, ENVIRONMENT, tmp_path)

    assert [one.failed for one in found] == [None] * len(works)
    assert all(one.samples[0].cpu > 0 for one in found)
    slowest = sorted(found, key=lambda one: one.samples[0].cpu)[-2:]
    assert {one.case.work for one in slowest} == {"events", "both"}


def test_two_processes_work_at_the_same_time_and_write_the_lakes_files(
    given: BenchInput, tmp_path: Path
) -> None:
    (found,) = measure([case(given, "parquet", processes=2)], 1, ENVIRONMENT, tmp_path)

    assert found.failed is None
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*/lake"))]
    assert len(sizes) == 2
    assert 0 < sizes[0] == sizes[1] < given.size / 3


def test_work_that_may_fail_is_measured_once_and_says_why(given: BenchInput, tmp_path: Path) -> None:
    failing = replace(case(broken(given), "parquet"), may_fail=True)

    bad, good = measure([failing, case(given, "read")], 2, ENVIRONMENT, tmp_path)

    assert bad.failed is not None
    assert "good lines only" in bad.failed
    assert len(good.samples) == 2


def test_work_that_may_not_fail_ends_the_benchmark(given: BenchInput, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="good lines only"):
        measure([case(broken(given), "parquet")], 2, ENVIRONMENT, tmp_path)


@pytest.mark.parametrize(
    ("tool", "has_them"),
    [("DuckDB COPY, the lake's table", True), ("orjson + pyarrow, the lake's table", False)],
)
def test_tools_have_the_functions_variables_unless_these_slow_them_down(
    tool: str, has_them: bool, tmp_path: Path
) -> None:
    data = BenchData(cache=tmp_path)
    of_the_function = range_function._case(data, "mixed", "bench.range_function_work", "parquet", 1000)

    found = range_function._case(data, "mixed", "bench.tools", tool, 1000)

    assert "ARROW_DEFAULT_MEMORY_POOL" in of_the_function.variables
    assert found.variables == (of_the_function.variables if has_them else {})


def test_the_tool_that_is_said_to_keep_the_text_keeps_it(given: BenchInput, tmp_path: Path) -> None:
    duckdb_text(given.path, tmp_path)()

    columns = pq.read_table(tmp_path / "duckdb.parquet").to_pydict()
    lines = given.path.read_text().splitlines()
    assert columns["resource"] == lines
    assert columns["id"] == [json.loads(line)["id"] for line in lines]


def test_a_case_finds_nothing_of_the_one_before_it(given: BenchInput, tmp_path: Path) -> None:
    tool = WorkCase(
        given.kind, "bench.tools", "DuckDB COPY, the lake's table", given.path, given.size, given.path
    )

    found = measure([case(given, "parquet"), tool, case(given, "parquet")], 2, ENVIRONMENT, tmp_path)

    assert [one.failed for one in found] == [None] * 3
