"""What the benchmark of the range function found: rates, the limit that follows from its parts, verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.fhir_data import KINDS
from bench.work_processes import WorkMeasured

PARTS: Mapping[str, str] = {"read": "read alone", "scan": "key scan alone", "write": "Parquet write alone"}
PRODUCT: Mapping[str, str] = {"parquet": "Parquet"}
EVENTS: Mapping[str, str] = {"events": "events", "both": "events and Parquet"}
TOOL_MODULE = "bench.tools"
SAME_TABLE = "the lake's table"
"""How the works of those tools end that do what the function is compared for."""

TUNED = "the lake's table, tuned"
"""And of a query that was tuned for this benchmark, as nobody's would be: how far the tool can be driven."""

LEAN = "text and keys"
"""And of those that keep the text too, but make less than the lake's table of it."""

OF_LIMIT = 0.75
OF_BEST_TOOL = 1.4
OF_EVENTS = 0.9
MOST_MEGABYTES = 200.0

_LABEL = 35
_CELL = 19


@dataclass(frozen=True)
class Verdict:
    """Something that is asked of the range function, and what was found."""

    asked: str
    found: float
    bound: float
    at_least: bool = True

    @property
    def holds(self) -> bool:
        return self.found >= self.bound if self.at_least else self.found <= self.bound

    def line(self) -> str:
        """A sentence."""
        relation = "at least" if self.at_least else "at most"
        outcome = "holds" if self.holds else "DOES NOT HOLD"
        return f"{self.asked}: {self.found:.4g}, {relation} {self.bound:g} asked: {outcome}"


@dataclass(frozen=True)
class RangeReport:
    """Cases side by side on each kind of input, in one process and two, and on files of several sizes.
    `made_up` names the kinds of input of which no data was given."""

    side_by_side: Sequence[WorkMeasured]
    together: Sequence[WorkMeasured]
    sizes: Sequence[WorkMeasured]
    made_up: Sequence[str]
    title: str = "Range function: MB per second of one processor, and peak memory in MB"

    def limit(self, kind: str) -> float:
        """MB per second that follows from the parts of the work, done one after the other."""
        return combined([self._rate(part, kind) for part in PARTS])

    def best_tool(self, kind: str) -> float:
        """The rate of the fastest general tool that makes the lake's table."""
        return self._best(SAME_TABLE, kind)

    def best_tuned_tool(self, kind: str) -> float:
        """The rate of the fastest that was tuned for this benchmark."""
        return self._best(TUNED, kind)

    def best_lean_tool(self, kind: str) -> float:
        """The rate of the fastest general tool that keeps the text and makes less than the lake's table."""
        return self._best(LEAN, kind)

    @property
    def unasked(self) -> Mapping[str, float]:
        """How fast Parquet is next to what nothing is asked of, geometric means over the kinds of input."""
        return {
            "a query that was tuned for this benchmark": self._mean("parquet", self.best_tuned_tool),
            "the fastest tool that keeps text and keys only": self._mean("parquet", self.best_lean_tool),
        }

    def verdicts(self) -> list[Verdict]:
        """What is asked, as geometric means over the kinds of input."""
        largest = max(self.sizes, key=lambda one: one.case.size)
        return [
            Verdict("Parquet against the limit", self._mean("parquet", self.limit), OF_LIMIT),
            Verdict(
                "Parquet against the fastest tool that makes the lake's table",
                self._mean("parquet", self.best_tool),
                OF_BEST_TOOL,
            ),
            Verdict(
                "Events and Parquet against events",
                self._mean("both", lambda kind: self._rate("events", kind)),
                OF_EVENTS,
            ),
            Verdict(
                "Peak memory in MB with 1 GB and a line of 5 MB",
                largest.peak or math.inf,
                MOST_MEGABYTES,
                at_least=False,
            ),
        ]

    def table(self) -> str:
        """For people."""
        tools = [one.case.work for one in self._of(KINDS[0]) if one.case.module == TOOL_MODULE]
        lines = [self.title, _row("", KINDS)]
        lines += [self._row(label, work) for work, label in PARTS.items()]
        lines += [_row("limit: read, scan and write", (f"{self.limit(kind):.0f}     " for kind in KINDS))]
        lines += [self._row(label, work) for work, label in {**PRODUCT, **EVENTS}.items()]
        lines += [self._share("Parquet, of the limit", "parquet", self.limit)]
        lines += [self._share("Parquet, of the best, lake's table", "parquet", self.best_tool)]
        lines += [self._share("Parquet, of the best, tuned", "parquet", self.best_tuned_tool)]
        lines += [self._share("Parquet, of the best, lean", "parquet", self.best_lean_tool)]
        lines += [
            self._share("events and Parquet, of events", "both", lambda kind: self._rate("events", kind))
        ]
        lines += ["", *(self._row(work, work) for work in tools)]
        lines += ["", "Parquet, processes at once: MB per second on the wall of all together"]
        lines += [f"{one.case.processes:>8}  {_number(one.wall_rate)}" for one in self.together]
        lines += ["", "Parquet, files of so many MB: MB per second of one processor, peak memory in MB"]
        lines += [f"{one.case.size / 1e6:8.0f}  {_cell(one)}" for one in self.sizes]
        lines += ["", *(verdict.line() for verdict in self.verdicts())]
        lines += [f"Parquet against {other}: {ratio:.4g}" for other, ratio in self.unasked.items()]
        if self.made_up:
            lines.append(f"Made up: {', '.join(self.made_up)}.")
        return "\n".join(lines)

    def document(self) -> Mapping[str, Any]:
        """For programs."""
        return {
            "madeUp": list(self.made_up),
            "cases": [one.document() for one in self.side_by_side],
            "limit": {kind: round(self.limit(kind), 2) for kind in KINDS},
            "unasked": {other: round(ratio, 4) for other, ratio in self.unasked.items()},
            "processes": [one.document() for one in self.together],
            "sizes": [one.document() for one in self.sizes],
            "verdicts": [
                {"asked": one.asked, "found": round(one.found, 4), "bound": one.bound, "holds": one.holds}
                for one in self.verdicts()
            ],
        }

    def _of(self, kind: str) -> list[WorkMeasured]:
        return [one for one in self.side_by_side if one.case.kind == kind]

    def _best(self, ending: str, kind: str) -> float:
        tools = [one for one in self._of(kind) if one.case.work.endswith(ending)]
        rates = [one.rate for one in tools if one.rate is not None]
        if not rates:
            raise RuntimeError(
                f"on {kind} all fail: {', '.join(f'{one.case.work}: {one.failed}' for one in tools)}"
            )
        return max(rates)

    def _measured(self, work: str, kind: str) -> WorkMeasured:
        (found,) = [one for one in self._of(kind) if one.case.work == work]
        return found

    def _rate(self, work: str, kind: str) -> float:
        measured = self._measured(work, kind)
        if measured.rate is None:
            raise RuntimeError(f"{work} on {kind}: {measured.failed}")
        return measured.rate

    def _mean(self, work: str, reference: Callable[[str], float]) -> float:
        return geometric_mean(self._rate(work, kind) / reference(kind) for kind in KINDS)

    def _row(self, label: str, work: str) -> str:
        return _row(label, (_cell(self._measured(work, kind)) for kind in KINDS))

    def _share(self, label: str, work: str, reference: Callable[[str], float]) -> str:
        return _row(label, (f"{self._rate(work, kind) / reference(kind):.0%}    " for kind in KINDS))


def combined(rates: Iterable[float]) -> float:
    """The rate of work whose parts, done one after the other, have these."""
    return 1 / sum(1 / rate for rate in rates)


def geometric_mean(values: Iterable[float]) -> float:
    """The geometric mean."""
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms))


def _row(label: str, cells: Iterable[str]) -> str:
    return f"{label:{_LABEL}}" + "".join(f"{cell:>{_CELL}}" for cell in cells)


def _cell(measured: WorkMeasured) -> str:
    if measured.failed is not None:
        return f"fails: {measured.failed}"[: _CELL - 1]
    return f"{_number(measured.rate)} {measured.peak or 0:5.0f}"


def _number(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.0f}" if rate >= 100 else f"{rate:.1f}"
