"""What the hub costs on AWS: for a million changed resources, for a run, and for a month.

The whole runs of bench/results.json give transitions, requests, invocations and log lines; the range function
is measured here. bench/cost_model.py says how they become quantities, bench/prices.json what those cost.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench import range_cost, whole_runs
from bench.cost_model import (
    CHANGES,
    DEPLOYED_RANGE,
    GIGABYTE,
    MILLION,
    MODES,
    TARGETS,
    Assumptions,
    Counted,
    FunctionCount,
    Quantity,
    Told,
    cost_by_scope,
    cost_by_service,
    gigabyte_seconds,
    run_of,
    total,
)
from bench.cost_tables import cost_tables
from bench.monthly import memory, monthly
from bench.prices import Prices, read_prices
from local.testing.template_reader import read

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results.json"
TITLE = "Cost on AWS"
ONE_FUNCTION = FunctionCount(invocations=1, cpu_ms=0, requests={}, log_bytes=500, megabytes=256)
ONE_FUNCTION_MS = 30.0
"""What a function that publishes a single resource is taken to need: it waits for PutEvents, little else."""


@dataclass(frozen=True)
class Cost:
    """Everything that the tables show follows from this."""

    prices: Prices
    counted: Counted
    told: Mapping[str, Told]
    fixed: Sequence[Quantity]
    measured: Sequence[range_cost.RangeCost]
    assumed: Assumptions
    title: str = TITLE

    def run(self, changed: int, mode: str) -> list[Quantity]:
        """What a run takes that finds so many changed resources."""
        return run_of(changed, self.told[mode], self.told["repeated"], self.counted, self.assumed)

    def per_million(self, changed: int, mode: str) -> float:
        """Dollars for a million changed resources, found by runs with so many each."""
        return total(self.run(changed, mode), self.prices) * MILLION / changed

    @cached_property
    def per_resource_design(self) -> list[Quantity]:
        """A million changes told by a design that spends a transition, an invocation and an event on each;
        what it stores and what a run takes besides are taken to be the same."""
        own = gigabyte_seconds(ONE_FUNCTION_MS, ONE_FUNCTION.megabytes)
        logged = (ONE_FUNCTION.log_bytes + self.assumed.platform_log_bytes) / GIGABYTE
        shared = [one for one in self.run(MILLION, "off") if one.key == "s3.gb-month" or one.scope == "run"]
        return [
            *shared,
            Quantity("stepfunctions.transition", MILLION, "resource"),
            Quantity("lambda.request", MILLION, "resource"),
            Quantity("lambda.gb-second", MILLION * own, "resource"),
            Quantity("logs.gb", MILLION * logged, "resource"),
            Quantity("events.chunk", MILLION * self.told["resource"].event_chunks, "resource"),
        ]

    def fewest(self, mode: str, target: float) -> int | None:
        """How many changes a run must find, to two digits, for a million to cost no more than this; None
        where no number is enough."""
        for power in range(1, 7):
            for digits in range(10, 100):
                changed: int = digits * 10 ** (power - 1)
                if self.per_million(changed, mode) <= target:
                    return changed
        return None

    def verdicts(self) -> list[tuple[str, bool]]:
        """What has to hold for a million changes found by one run, and whether it does."""
        return [
            (
                f"a million changed resources told by {mode} cost at most {target:.2f} dollars "
                f"({self.per_million(MILLION, mode):.3f})",
                self.per_million(MILLION, mode) <= target,
            )
            for mode, target in TARGETS.items()
        ]

    def table(self) -> str:
        """The bill of a million by service, what runs cost by how much they find, and what a month costs."""
        return cost_tables(self)

    def document(self) -> Mapping[str, Any]:
        """Everything counted, assumed and found, with the day of the prices."""
        return {
            "pricesCollected": self.prices.collected,
            "region": self.prices.region,
            "assumptions": asdict(self.assumed),
            "counted": asdict(self.counted),
            "measured": [asdict(one) for one in self.measured],
            "perMillion": {
                mode: {
                    "total": self.per_million(MILLION, mode),
                    "byService": cost_by_service(self.run(MILLION, mode), self.prices),
                    "byScope": cost_by_scope(self.run(MILLION, mode), self.prices),
                }
                for mode in MODES
            },
            "perResourceDesign": cost_by_service(self.per_resource_design, self.prices),
            "perRun": {
                mode: {str(n): total(self.run(n, mode), self.prices) for n in CHANGES} for mode in MODES
            },
            "fewestChangesPerRun": {mode: self.fewest(mode, target) for mode, target in TARGETS.items()},
            "fixedPerMonth": {one.key: self.prices.cost(one.key, one.amount) for one in self.fixed},
            "verdicts": dict(self.verdicts()),
        }


def run(samples: int, progress: Callable[[int, int], None]) -> Cost:
    """Measure the range function and put it together with the last whole runs.

    Raises RuntimeError when there have been none.
    """
    template = read(ROOT / "template.yaml")
    counted = counted_runs(json.loads(RESULTS.read_text(encoding="utf-8")), memory(template))
    measured = range_cost.measure(samples, progress)
    return Cost(
        prices=read_prices(),
        counted=counted,
        told={one.mode: _told(one) for one in measured},
        fixed=monthly(template, ROOT / "functions"),
        measured=measured,
        assumed=Assumptions(),
    )


def counted_runs(results: Mapping[str, Any], megabytes: Mapping[str, int]) -> Counted:
    """What whole runs took, out of bench/results.json: a run over the least data, and one over nothing."""
    found = [one for one in results["benchmarks"] if one["title"] == whole_runs.TITLE]
    if not found:
        raise RuntimeError("There are no whole runs to count from: run `python -m bench whole-runs` first.")
    sizes = {size["name"]: size for size in found[0]["sizes"]}
    least = sizes["1×"]
    functions = {name: _function(use, megabytes[name]) for name, use in least["functions"].items()}
    of_range = functions.pop(DEPLOYED_RANGE)
    ranges = of_range.invocations
    others = Counter(least["requests"])
    for use in (*functions.values(), of_range):
        others.subtract(use.requests)
    return Counted(
        transitions=least["transitions"],
        transitions_of_nothing=sizes[whole_runs.NOTHING]["transitions"],
        transitions_per_range=least["childTransitions"] / least["ranges"],
        functions=functions,
        other_requests={
            name: number
            for name, number in others.items()
            # HealthLake's own writes are counted by file
            if number > 0 and name != "s3 PutObject"
        },
        of_range=FunctionCount(
            1,
            of_range.cpu_ms / ranges,
            {
                name: -(-number // ranges)
                for name, number in of_range.requests.items()
                if not name.startswith("events")  # they follow from the number of resources
            },
            -(-of_range.log_bytes // ranges),
            of_range.megabytes,
        ),
    )


def _function(use: Mapping[str, Any], megabytes: int) -> FunctionCount:
    return FunctionCount(use["invocations"], use["cpu_ms"], use["requests"], use["log_bytes"], megabytes)


def _told(one: range_cost.RangeCost) -> Told:
    return Told(
        cpu_us=one.cpu_us,
        range_ms=one.range_ms,
        line_bytes=one.line_bytes,
        parquet_bytes=one.parquet_bytes,
        event_chunks=one.event_chunks,
        put_events=one.put_events,
    )
