"""`python -m bench`: run benchmarks, print what they found and write it to bench/results.json."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import change_streams, cold_start, cost, range_function, whole_runs
from bench.report import Report, document

RESULTS = Path(__file__).parent / "results.json"
FEWEST_SAMPLES = 5

Benchmark = Callable[[int, Callable[[int, int], None]], Report]
BENCHMARKS: Mapping[str, Benchmark] = {
    "range-function": range_function.run,
    "change-streams": change_streams.run,
    "cold-start": cold_start.run,
    "whole-runs": whole_runs.run,
    "cost": cost.run,
}
"""A benchmark takes the number of samples and what to tell its progress, and returns its report."""


def main(arguments: list[str]) -> int:
    """Run the benchmarks that were named, or all of them; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all by default"
    )
    parser.add_argument("--samples", type=int, default=5, help="of each case, at least 5 (%(default)s)")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - BENCHMARKS.keys()
    if unknown or options.samples < FEWEST_SAMPLES:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}" if unknown else "too few samples")
    for name in options.names or BENCHMARKS:
        report = BENCHMARKS[name](options.samples, _progress)
        print(report.table(), end="\n\n", flush=True)
        _keep(report)
    print(f"Medians of {options.samples}, cases in turn. All samples: {RESULTS}")
    return 0


def _keep(report: Report) -> None:
    """Write what was found at once: the next benchmark may take long, and fail."""
    earlier: dict[str, Any] | None = None
    if RESULTS.exists():
        earlier = json.loads(RESULTS.read_text(encoding="utf-8"))
    found = document([report], datetime.now(UTC), earlier)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _progress(done: int, steps: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{done} of {steps}", end="\n" if done == steps else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
