"""The tables of bench/cost.py, for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.cost_model import (
    CHANGES,
    GIGABYTE,
    MILLION,
    MODES,
    TARGETS,
    cost_by_scope,
    cost_by_service,
    query,
    total,
)

if TYPE_CHECKING:
    from bench.cost import Cost

PER_RESOURCE = "one state per resource"

_NAMES = {"run": "what every run takes", "range": "what byte ranges take", "resource": "what resources take"}


def cost_tables(cost: Cost) -> str:
    """All tables, with the title first."""
    parts = (
        _of_a_million,
        _of_scopes,
        _of_a_run,
        _of_small_runs,
        _of_a_month,
        _of_queries,
        _beside,
        _verdicts,
    )
    head = f"{cost.title}, {cost.prices.region}, list prices of {cost.prices.collected} without free tiers"
    return "\n\n".join([head, *("\n".join(part(cost)) for part in parts)])


def _of_a_million(cost: Cost) -> Iterable[str]:
    bills: dict[str, Mapping[str, float]] = {
        mode: cost_by_service(cost.run(MILLION, mode), cost.prices) for mode in MODES
    }
    bills[PER_RESOURCE] = cost_by_service(cost.per_resource_design, cost.prices)
    return _bill("dollars per million changed resources", bills)


def _of_scopes(cost: Cost) -> Iterable[str]:
    bills = {mode: cost_by_scope(cost.run(MILLION, mode), cost.prices) for mode in MODES}
    named = {mode: {_NAMES[name]: value for name, value in bill.items()} for mode, bill in bills.items()}
    return _bill("the same by what it is spent for", named)


def _bill(title: str, bills: Mapping[str, Mapping[str, float]]) -> list[str]:
    rows = list(dict.fromkeys(name for bill in bills.values() for name in bill))
    lines = [f"{title:40}" + "".join(f"{name:>24}" for name in bills)]
    lines += [
        f"{row:40}" + "".join(f"{bill.get(row, 0.0):>24.4f}" for bill in bills.values()) for row in rows
    ]
    return [*lines, f"{'together':40}" + "".join(f"{sum(bill.values()):>24.4f}" for bill in bills.values())]


def _of_a_run(cost: Cost) -> Iterable[str]:
    runs = cost.assumed.runs_per_month
    yield "changes per run, every five minutes"
    yield f"{'':10}" + "".join(f"{mode + ': a run':>18}{'a million':>12}{'a month':>12}" for mode in MODES)
    for changed in CHANGES:
        cells = []
        for mode in MODES:
            dollars = total(cost.run(changed, mode), cost.prices)
            million = f"{cost.per_million(changed, mode):.3f}" if changed else "-"
            cells.append(f"{dollars:18.5f}{million:>12}{dollars * runs:12,.2f}")
        yield f"{changed:<10,}" + "".join(cells)


def _of_small_runs(cost: Cost) -> Iterable[str]:
    bills = {
        name: {
            service: dollars * cost.assumed.runs_per_month
            for service, dollars in cost_by_service(cost.run(changed, "resource"), cost.prices).items()
        }
        for name, changed in (("nothing", 0), ("100 changes", 100), ("1,000 changes", 1_000))
    }
    return _bill("dollars a month for runs that find", bills)


def _of_a_month(cost: Cost) -> Iterable[str]:
    yield "a month of the stack, runs apart"
    for one in cost.fixed:
        price = cost.prices.prices[one.key]
        dollars = cost.prices.cost(one.key, one.amount)
        yield f"{dollars:8.2f}  {one.amount:,.0f} × {price.unit} ({price.service})"
    yield f"{total(cost.fixed, cost.prices):8.2f}  together"


def _of_queries(cost: Cost) -> Iterable[str]:
    """Two million resources that runs every five minutes have brought in a month, read in the files of those
    runs and in compacted ones."""
    runs = cost.assumed.runs_per_month
    scanned = 2 * MILLION * cost.told["off"].parquet_bytes
    yield f"a query over every text of two million resources, {scanned / 1e6:,.0f} MB of Parquet"
    for name, files in (
        ("compacted", 20),
        ("of one run", 400),
        ("of a month of runs", runs * cost.assumed.types),
    ):
        dollars = total(query(scanned, files, cost.assumed), cost.prices)
        yield f"{dollars:8.4f}  in {files:,} files, {name}"


def _beside(cost: Cost) -> Iterable[str]:
    told = cost.told["resource"]
    exported = MILLION * told.line_bytes / GIGABYTE
    again = exported * cost.assumed.overlap
    fee = cost.prices.prices["healthlake.export-gb"].price
    yield "beside it, dollars per million changed resources"
    yield (
        f"{exported * fee:8.3f}  HealthLake's own fee for exporting them, {told.line_bytes:,.0f} bytes each, "
        f"and {again * fee:.3f} for what the overlap exports again"
    )
    kms = cost.prices.prices["kms.request"].price
    yield f"{told.put_events * MILLION * kms:8.3f}  if EventBridge asked KMS once for every call of PutEvents"
    yield f"{MILLION * kms:8.3f}  if it asked once for every event"
    slow = replace(cost, assumed=replace(cost.assumed, slower_processor=2.0))
    slower = slow.per_million(MILLION, "resource") - cost.per_million(MILLION, "resource")
    yield f"{slower:8.3f}  more if a processor of AWS were half as fast as this one"
    warm = replace(cost, assumed=replace(cost.assumed, cold_start_ms=0, cold_range_ms=0))
    less = total(cost.run(100, "batch"), cost.prices) - total(warm.run(100, "batch"), cost.prices)
    less *= cost.assumed.runs_per_month
    yield f"{less:8.2f}  less a month with few changes, where functions are still warm from the run before"


def _verdicts(cost: Cost) -> Sequence[str]:
    lines = [f"{'holds' if holds else 'FAILS'}: {claim}" for claim, holds in cost.verdicts()]
    for mode, target in TARGETS.items():
        fewest = cost.fewest(mode, target)
        least = f"from {fewest:,} changes per run on" if fewest else "for no number of changes per run"
        lines.append(f"{mode}: at most {target:.2f} {least}")
    return lines
