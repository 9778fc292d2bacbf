"""The cost of runs is put together from what whole runs and the range function took."""

from collections.abc import Mapping
from typing import Any

import pytest

from bench import whole_runs
from bench.answering_aws import event_chunks
from bench.cost import Cost, counted_runs
from bench.cost_model import MILLION, Assumptions, Told
from bench.prices import read_prices

MEGABYTES = {"StartExportFunction": 256, "ProcessRangeFunction": 1769}


def a_use(invocations: int, **requests: int) -> dict[str, Any]:
    named = {name.replace("_", " "): number for name, number in requests.items()}
    return {"invocations": invocations, "cpu_ms": 20.0, "log_bytes": 1000, "requests": named}


def results() -> Mapping[str, Any]:
    """A run of two byte ranges, and one over nothing."""
    functions = {
        "StartExportFunction": a_use(1, dynamodb_GetItem=1),
        "ProcessRangeFunction": a_use(2, dynamodb_GetItem=2, s3_GetObject=3, events_PutEvents=40),
    }
    requests = {"dynamodb GetItem": 4, "s3 GetObject": 4, "s3 PutObject": 2, "events PutEvents": 40}
    one = {"name": "1×", "transitions": 9, "childTransitions": 2, "ranges": 2, "requests": requests}
    nothing = {"name": whole_runs.NOTHING, "transitions": 8}
    return {"benchmarks": [{"title": whole_runs.TITLE, "sizes": [nothing, {**one, "functions": functions}]}]}


@pytest.fixture
def cost() -> Cost:
    told = Told(80, 5, 1200, 150, 1.0, 0.1)
    batch = Told(10, 5, 1200, 150, 0.004, 0.0003)
    return Cost(
        prices=read_prices(),
        counted=counted_runs(results(), MEGABYTES),
        told={"resource": told, "batch": batch, "off": batch, "repeated": batch},
        fixed=[],
        measured=[],
        assumed=Assumptions(checks=1),
    )


def test_what_the_range_function_took_counts_for_each_byte_range_begun_requests_included() -> None:
    counted = counted_runs(results(), MEGABYTES)

    assert counted.of_range.requests == {"dynamodb GetItem": 1, "s3 GetObject": 2}
    assert counted.of_range.cpu_ms == 10
    assert counted.transitions_per_range == 1
    assert set(counted.functions) == {"StartExportFunction"}


def test_what_no_function_asked_for_is_the_state_machines_and_files_are_counted_apart() -> None:
    assert counted_runs(results(), MEGABYTES).other_requests == {"dynamodb GetItem": 1, "s3 GetObject": 1}


def test_without_whole_runs_there_is_nothing_to_count_from() -> None:
    with pytest.raises(RuntimeError, match="run `python -m bench whole-runs` first"):
        counted_runs({"benchmarks": []}, MEGABYTES)


def test_a_state_for_each_resource_costs_more_than_25_dollars_a_million(cost: Cost) -> None:
    transitions = [one for one in cost.per_resource_design if one.key == "stepfunctions.transition"]

    assert sum(one.amount for one in transitions) == MILLION + 10
    assert 25 < sum(cost.prices.cost(one.key, one.amount) for one in cost.per_resource_design) < 28


def test_the_more_a_run_finds_the_less_a_resource_costs(cost: Cost) -> None:
    costs = [cost.per_million(changed, "batch") for changed in (100, 1_000, 10_000, 100_000)]

    assert costs == sorted(costs, reverse=True)


def test_the_fewest_changes_for_a_target_just_reach_it(cost: Cost) -> None:
    fewest = cost.fewest("resource", 1.20)

    assert fewest is not None
    assert cost.per_million(fewest, "resource") <= 1.20
    assert cost.per_million(round(fewest * 0.9), "resource") > 1.20
    assert cost.fewest("resource", 0.50) is None, "events alone cost a dollar"


def test_the_report_shows_services_runs_months_and_verdicts(cost: Cost) -> None:
    table = cost.table()

    for shown in (
        "EventBridge",
        "changes per run",
        "a month of the stack",
        "HealthLake's own fee",
        "holds: ",
    ):
        assert shown in table
    assert cost.document()["perMillion"]["resource"]["total"] == pytest.approx(
        sum(cost.document()["perMillion"]["resource"]["byService"].values())
    )


@pytest.mark.parametrize(("detail", "chunks"), [(1, 1), (65_536 - 20, 1), (65_536 - 19, 2), (200_000, 4)])
def test_events_are_billed_by_chunks_of_64_kb_begun(detail: int, chunks: int) -> None:
    entry = {"Source": "s" * 10, "DetailType": "d" * 10, "Detail": "x" * detail}

    assert event_chunks(entry) == chunks
