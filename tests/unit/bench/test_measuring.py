"""Benchmarks measure what they say: processor time of one process, medians, cases in turn."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from bench.measuring import Case, Measured, Sample, measure, run
from bench.report import Result, document

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def a_case(program: str, name: str = "case") -> Case:
    return Case(name, [sys.executable, "-S", "-c", program], dict(os.environ))


def test_waiting_costs_time_on_the_wall_and_hardly_any_of_the_processor() -> None:
    sample = run(a_case("import time; time.sleep(0.3)"))

    assert sample.wall > 300
    assert sample.cpu < sample.wall - 150


def test_a_case_that_fails_ends_the_benchmark() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        measure([a_case("raise SystemExit(3)")], samples=5)


def test_every_case_has_its_turn_before_any_has_the_next_one() -> None:
    steps: list[tuple[int, int]] = []
    cases = [a_case("pass", "one"), a_case("pass", "other")]

    measured = measure(cases, samples=2, progress=lambda done, all_: steps.append((done, all_)))

    assert [(one.name, len(one.samples)) for one in measured] == [("one", 2), ("other", 2)]
    assert steps[-1] == (6, 6)


def test_a_report_compares_the_medians_of_processor_time() -> None:
    reference = Measured("bare", (Sample(100, 200), Sample(900, 900), Sample(100, 200)))
    other = Measured("traced", (Sample(150, 300),))
    result = Result("Cold start", "bare", [reference, other])

    assert result.table().splitlines()[-1].split() == ["traced", "150", "300", "1.50"]
    assert [case["ratio"] for case in result.document()["cases"]] == [1.0, 1.5]


def test_a_benchmark_that_is_run_alone_leaves_the_results_of_the_others() -> None:
    def result(title: str, milliseconds: float) -> Result:
        return Result(title, "bare", [Measured("bare", (Sample(milliseconds, milliseconds),))])

    earlier = document([result("Cold start", 100), result("Whole runs", 200)], NOW)
    later = document([result("Cold start", 300)], NOW, earlier)

    found = {one["title"]: one["cases"][0]["cpuMilliseconds"] for one in later["benchmarks"]}
    assert found == {"Cold start": 300, "Whole runs": 200}
