"""What runs cost follows from fixed counts by arithmetic that can be done by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cost_model import (
    GIGABYTE,
    READ_CHUNK_BYTES,
    Assumptions,
    Counted,
    FunctionCount,
    Quantity,
    Told,
    cost_by_scope,
    cost_by_service,
    gigabyte_seconds,
    query,
    ranges_of,
    run_of,
    total,
    wall_ms,
)
from bench.prices import Prices, read_prices
from healthlake_export.change_events import EVENT_ID_BYTES
from healthlake_export.event_publisher import IN_FLIGHT
from healthlake_export.object_bytes import CHUNK_BYTES
from local.testing.template_reader import read

ROOT = Path(__file__).parents[3]

ASSUMED = Assumptions(overlap=0.0, cold_start_ms=0, cold_range_ms=0, start_transitions=0)
START = FunctionCount(1, cpu_ms=10, requests={"dynamodb GetItem": 2}, log_bytes=700, megabytes=256)
CHECK = FunctionCount(4, cpu_ms=40, requests={"dynamodb UpdateItem": 4}, log_bytes=800, megabytes=256)
RANGE = FunctionCount(1, 0, {"dynamodb GetItem": 1, "s3 GetObject": 1, "s3 PutObject": 1}, 400, 1769)
COUNTED = Counted(
    transitions=9,
    transitions_of_nothing=8,
    transitions_per_range=1,
    functions={"StartExportFunction": START, "CheckExportFunction": CHECK},
    other_requests={"s3 GetObject": 1, "sqs SendMessage": 3},
    of_range=RANGE,
)
ONE_EACH = Told(cpu_us=100, range_ms=5, line_bytes=1000, parquet_bytes=100, event_chunks=1, put_events=0.1)
NONE = Told(cpu_us=10, range_ms=5, line_bytes=1000, parquet_bytes=0, event_chunks=0, put_events=0)


@pytest.fixture(scope="module")
def prices() -> Prices:
    return read_prices()


def amounts(
    changed: int, assumed: Assumptions = ASSUMED, told: Told = ONE_EACH
) -> dict[tuple[str, str], float]:
    """How much of what, and for what, a run takes."""
    sums: dict[tuple[str, str], float] = {}
    for one in run_of(changed, told, NONE, COUNTED, assumed):
        sums[one.key, one.scope] = sums.get((one.key, one.scope), 0) + one.amount
    return sums


def test_a_run_that_finds_nothing_takes_no_byte_range_and_no_event() -> None:
    found = amounts(0)

    assert found["stepfunctions.transition", "run"] == 8
    assert {scope for (_, scope), amount in found.items() if amount} == {"run"}


def test_transitions_grow_with_byte_ranges_and_not_with_resources() -> None:
    few, many = amounts(14), amounts(70_000)

    assert few["stepfunctions.transition", "run"] == many["stepfunctions.transition", "run"] == 9
    assert few["stepfunctions.transition", "range"] == many["stepfunctions.transition", "range"] == 14


def test_each_start_of_an_execution_may_count_as_a_transition() -> None:
    found = amounts(14, replace(ASSUMED, start_transitions=1))

    assert found["stepfunctions.transition", "run"] == 10
    assert found["stepfunctions.transition", "range"] == 28


@pytest.mark.parametrize(
    ("lines", "line_bytes", "ranges"),
    [(0, 1000, 0), (3, 1000, 3), (14, 1000, 14), (70_001, 1000, 15), (5_000, 64 << 20, 5_000)],
)
def test_a_range_holds_one_type_and_so_many_resources_and_bytes(
    lines: int, line_bytes: float, ranges: int
) -> None:
    assert ranges_of(lines, line_bytes, ASSUMED) == ranges


def test_every_changed_resource_is_billed_as_its_event_is_by_chunks_of_64_kb() -> None:
    assert amounts(1000)["events.chunk", "resource"] == 1000
    assert amounts(1000, told=replace(ONE_EACH, event_chunks=1.5))["events.chunk", "resource"] == 1500


def test_what_the_overlap_brings_again_is_read_and_stored_and_not_published() -> None:
    found = amounts(1000, replace(ASSUMED, overlap=0.4))

    assert found["events.chunk", "resource"] == 1000
    exported = 1400 * 1000 / GIGABYTE * 37 / 30
    parquet = 1000 * 100 / GIGABYTE
    assert found["s3.gb-month", "resource"] == pytest.approx(exported + parquet)


def test_gigabyte_seconds_are_the_processors_time_and_the_wait_for_the_network() -> None:
    assumed = replace(ASSUMED, put_events_ms=40, in_flight=4, download_bytes_per_ms=1_000_000)
    cpu, waits, read = 0.1, 100 * 40 / 4 / 1000, 1.0 / 1000
    expected = (cpu + waits + read) * 1769 / 1024

    assert amounts(1000, assumed)["lambda.gb-second", "resource"] == pytest.approx(expected)


def test_what_comes_again_takes_the_processor_for_being_recognised() -> None:
    told = replace(ONE_EACH, put_events=0)
    once = amounts(1000, replace(ASSUMED, download_bytes_per_ms=1e12), told)
    again = amounts(1000, replace(ASSUMED, overlap=0.5, download_bytes_per_ms=1e12), told)

    ratio = again["lambda.gb-second", "resource"] / once["lambda.gb-second", "resource"]
    assert ratio == pytest.approx((100 + 0.5 * 10) / 100)


def test_no_more_functions_start_cold_than_ranges_are_at_work_at_once() -> None:
    def cold(ranges: int) -> float:
        each_alone = replace(ASSUMED, types=0, resources_per_file=1, request_ms=0)
        found = [
            amounts(ranges, replace(each_alone, cold_range_ms=each), replace(ONE_EACH, range_ms=0))
            for each in (0, 1000)
        ]
        return found[1]["lambda.gb-second", "range"] - found[0]["lambda.gb-second", "range"]

    assert cold(5) == pytest.approx(5 * 1769 / 1024)
    assert cold(500) == pytest.approx(20 * 1769 / 1024)


def test_a_byte_range_pays_for_its_ledger_item_and_for_drawing_on_the_bound_on_events() -> None:
    found = amounts(28)

    assert found["dynamodb.read-unit", "range"] == 14 * (1 + 2)
    assert found["dynamodb.write-unit", "range"] == 14 * 2 * 8, "two transactions besides what was counted"
    assert found["s3.put", "range"] == 14 * (1 + 2), "HealthLake's file and the ids that are kept"


def test_a_small_function_has_its_share_of_a_processor_and_a_large_one_no_more_than_one() -> None:
    assert wall_ms(10, 256, ASSUMED) == pytest.approx(10 * 1769 / 256)
    assert wall_ms(10, 3538, ASSUMED) == 10
    assert wall_ms(10, 1769, replace(ASSUMED, slower_processor=2)) == 20
    assert gigabyte_seconds(500, 2048) == 1.0


def test_checks_are_those_of_a_job_on_aws_and_not_those_of_the_local_one() -> None:
    found = amounts(0, replace(ASSUMED, checks=8))

    assert found["lambda.request", "run"] == 1 + 8
    assert found["dynamodb.write-unit", "run"] == 2 * 8, "one update for each check"
    assert found["dynamodb.read-unit", "run"] == 2, "as often as it was counted"


def test_kms_is_not_asked_for_each_event_unless_it_is_assumed() -> None:
    assert amounts(1000)["kms.request", "resource"] == 0
    assert amounts(1000, replace(ASSUMED, kms_of_event=1.0))["kms.request", "resource"] == 1000


def test_a_bill_adds_up_by_service_and_by_what_it_is_for(prices: Prices) -> None:
    bill = [
        Quantity("s3.put", 1000, "run"),
        Quantity("s3.get", 1000, "range"),
        Quantity("events.chunk", 2, "range"),
    ]

    assert cost_by_service(bill, prices) == pytest.approx({"S3": 0.0054, "EventBridge": 0.000002})
    assert cost_by_scope(bill, prices) == pytest.approx({"run": 0.005, "range": 0.000402})


def test_a_query_is_billed_by_what_it_scans_and_opens_and_for_ten_megabytes_at_least(prices: Prices) -> None:
    assert total(query(2e12, 0, ASSUMED), prices) == pytest.approx(10)
    assert total(query(5, 0, ASSUMED), prices) == total(query(10e6, 0, ASSUMED), prices)
    assert total(query(5, 1000, ASSUMED), prices) == pytest.approx(0.00005 + 3000 * 0.4e-6)


def test_what_is_assumed_is_what_the_product_and_its_parameters_say() -> None:
    parameters = {name: one["Default"] for name, one in read(ROOT / "template.yaml")["Parameters"].items()}
    assumed = Assumptions()

    assert parameters["ExportSchedule"] == "rate(5 minutes)"
    assert assumed.runs_per_month == 30 * 24 * 60 / 5
    assert assumed.overlap == parameters["OverlapSeconds"] / 300
    assert assumed.range_bytes == parameters["RangeSizeMegabytes"] << 20
    assert assumed.max_concurrency == parameters["MaxConcurrency"]
    assert assumed.exported_days == parameters["ExportRetentionDays"] + 7
    assert assumed.log_months == parameters["LogRetentionDays"] / 30
    assert assumed.in_flight == IN_FLIGHT
    assert assumed.ids_bytes == EVENT_ID_BYTES
    assert READ_CHUNK_BYTES == CHUNK_BYTES
