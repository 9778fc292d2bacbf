"""The price table has a price, with its source, for all that the template's resources are billed for."""

from dataclasses import fields
from pathlib import Path

import pytest

from bench import cost_model
from bench.monthly import memory, monthly
from bench.prices import Price, Prices, read_prices
from local.testing.metric_reader import sent_by
from local.testing.template_reader import read

ROOT = Path(__file__).parents[3]
TEMPLATE = read(ROOT / "template.yaml")


@pytest.fixture(scope="module")
def prices() -> Prices:
    return read_prices()


def test_every_service_of_the_template_has_its_prices_or_the_reason_why_it_needs_none(prices: Prices) -> None:
    used = {resource["Type"].rpartition("::")[0] for resource in TEMPLATE["Resources"].values()}

    assert used - prices.services.keys() == set()
    named = [key for keys in prices.services.values() if isinstance(keys, list) for key in keys]
    assert set(named) <= prices.prices.keys()
    assert all(keys for keys in prices.services.values())


def test_every_price_says_its_unit_and_where_it_stands(prices: Prices) -> None:
    for key, price in prices.prices.items():
        assert price.price > 0, key
        assert all(getattr(price, field.name) for field in fields(Price)), key
        assert price.url.startswith("https://aws.amazon.com/"), key


def test_every_price_that_the_model_names_is_in_the_table(prices: Prices) -> None:
    source = Path(cost_model.__file__).read_text(encoding="utf-8")
    units = [key for key, _ in cost_model.DYNAMODB_UNITS.values()]

    for key in (*units, *filter(None, cost_model.S3_REQUESTS.values())):
        assert key in prices.prices
    unused = [key for key in prices.prices if f'"{key}"' not in source]
    assert set(unused) == {
        "cloudwatch.alarm-metric-month",
        "cloudwatch.dashboard-month",
        "cloudwatch.metric-month",
        "healthlake.datastore-hour",
        "healthlake.export-gb",
        "kms.key-month",
    }, "these are billed by the month, or beside the hub"


def test_the_month_counts_keys_alarms_metrics_and_the_polling_of_queues(prices: Prices) -> None:
    fixed = {one.key: one.amount for one in monthly(TEMPLATE, ROOT / "functions")}

    assert fixed["kms.key-month"] == 2
    assert fixed["cloudwatch.dashboard-month"] == 3, "the fleet has one of its own"
    assert fixed["cloudwatch.alarm-metric-month"] > sum(
        one["Type"] == "AWS::CloudWatch::Alarm" and "Condition" not in one
        for one in TEMPLATE["Resources"].values()
    ), "an alarm over an expression is billed for every metric in it"
    assert fixed["cloudwatch.metric-month"] == len(sent_by(ROOT / "functions"))
    assert fixed["sqs.request"] == 6 * 5 * 30 * 24 * 3600 / 20, "of the six queues that start functions"
    assert fixed.keys() <= prices.prices.keys()


def test_functions_have_the_memory_of_the_template_or_its_usual_one() -> None:
    sizes = memory(TEMPLATE)

    assert sizes["AcquireRunLockFunction"] == 256
    assert sizes["PlanRangesFunction"] == 512
