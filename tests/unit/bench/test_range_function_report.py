"""Arithmetic of the range function's benchmark, on fixed figures."""

import json
from pathlib import Path

import pytest

from bench.fhir_data import KINDS
from bench.range_function_report import (
    EVENTS,
    PARTS,
    PRODUCT,
    TOOL_MODULE,
    RangeReport,
    combined,
    geometric_mean,
)
from bench.work_processes import WorkCase, WorkMeasured, WorkSample

MEGABYTE = 1_000_000
RATES = {"read": 1000.0, "scan": 500.0, "write": 250.0, "parquet": 120.0, "events": 10.0, "both": 9.5}
TOOLS = {
    "slow, the lake's table": 40.0,
    "quick, the lake's table": 80.0,
    "quick, the lake's table, tuned": 100.0,
    "quick, text and keys": 160.0,
    "typed": 300.0,
}
PEAK = 150.0


def measured(kind: str, work: str, rate: float, *, size: int = MEGABYTE, peak: float = PEAK) -> WorkMeasured:
    """A case whose samples have this median rate, one of them ten times as slow."""
    case = WorkCase(
        kind, "bench.range_function_work" if work in RATES else TOOL_MODULE, work, Path("in"), size, Path("w")
    )
    cpu = size / MEGABYTE / rate
    return WorkMeasured(
        case, [WorkSample(cpu, cpu, peak), WorkSample(10 * cpu, cpu, peak), WorkSample(cpu, cpu, peak)]
    )


def report(peak: float = PEAK, **changed: float) -> RangeReport:
    rates = {**RATES, **TOOLS, **changed}
    return RangeReport(
        side_by_side=[measured(kind, work, rate) for kind in KINDS for work, rate in rates.items()],
        together=[measured("mixed", "parquet", 120.0)],
        sizes=[
            measured("mixed", "parquet", 120.0, size=size, peak=peak) for size in (MEGABYTE, 9 * MEGABYTE)
        ],
        made_up=["Patient"],
    )


def test_parts_done_one_after_the_other_combine_to_what_their_times_add_up_to() -> None:
    assert combined([1000, 500, 250]) == pytest.approx(1000 / 7)


def test_a_mean_over_inputs_is_geometric() -> None:
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1)


def test_a_rate_is_that_of_the_median_sample() -> None:
    assert measured("Patient", "parquet", 120.0).rate == pytest.approx(120)


def test_what_is_asked_is_compared_with_what_was_found() -> None:
    limit, tool, events, memory = report().verdicts()

    assert limit.found == pytest.approx(120 / (1000 / 7))
    assert tool.found == pytest.approx(120 / 80)
    assert events.found == pytest.approx(0.95)
    assert memory.found == PEAK
    assert all(one.holds for one in (limit, tool, events, memory))


@pytest.mark.parametrize(
    ("position", "changed"),
    [
        (0, {"write": 400.0}),
        (1, {"quick, the lake's table": 90.0}),
        (2, {"both": 8.9}),
        (3, {"peak": 201.0}),
    ],
)
def test_what_does_not_hold_is_said(position: int, changed: dict[str, float]) -> None:
    found = report(**changed)

    assert [one.holds for one in found.verdicts()] == [number != position for number in range(4)]
    assert found.table().count("DOES NOT HOLD") == 1


def test_only_tools_that_make_the_lakes_table_are_asked_to_be_beaten() -> None:
    others = ("typed", "quick, text and keys", "quick, the lake's table, tuned")
    found = report(**dict.fromkeys(others, 1000.0))

    assert found.best_tool("mixed") == pytest.approx(80)
    assert all(verdict.holds for verdict in found.verdicts())


def test_how_fast_it_is_next_to_a_tuned_query_and_tools_that_do_less_is_said_and_not_judged() -> None:
    found = report()

    tuned, lean = found.table().splitlines()[-3:-1]
    assert tuned.endswith("tuned for this benchmark: 1.2")
    assert lean.endswith("keeps text and keys only: 0.75")
    assert list(found.document()["unasked"].values()) == pytest.approx([120 / 100, 120 / 160])


def test_a_tool_that_fails_says_why_and_is_not_the_best() -> None:
    found = report()
    for one in found.side_by_side:
        if one.case.work == "quick, the lake's table" and one.case.kind == "mixed":
            one.failed = "SchemaError: no"

    assert "fails: SchemaError" in found.table()
    assert found.best_tool("mixed") == pytest.approx(40)


def test_tools_that_all_fail_end_the_benchmark_with_their_reasons() -> None:
    found = report()
    for one in found.side_by_side:
        if one.case.work.endswith("text and keys"):
            one.failed = "OutOfMemory: too long"

    with pytest.raises(
        RuntimeError, match="Observation all fail: quick, text and keys: OutOfMemory: too long"
    ):
        found.table()


def test_the_table_shows_every_case_and_the_document_every_sample() -> None:
    found = report()
    told = json.loads(json.dumps(found.document()))

    assert all(
        label in found.table() for label in [*PARTS.values(), *PRODUCT.values(), *EVENTS.values(), *TOOLS]
    )
    assert len(told["cases"]) == len(KINDS) * (len(RATES) + len(TOOLS))
    assert all(len(case["samples"]) == 3 for case in told["cases"])
    assert [verdict["holds"] for verdict in told["verdicts"]] == [True] * 4
