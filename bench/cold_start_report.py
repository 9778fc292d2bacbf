"""What cold starts were found to take: a row for each function, with tracing off and on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.measuring import Measured
from bench.report import Result

BARE = "bare handler, one client"
TRACED = ", tracing on"
"""What the name of a case ends with that is measured with tracing on, beside the one that is not."""

MOST_TO_BARE = 1.25
MOST_BY_TRACING = 1.15


@dataclass(frozen=True)
class ColdStarts:
    """The cases, and the names of the functions that have the Parquet layer."""

    measured: Sequence[Measured]
    writing_parquet: Collection[str] = ()

    title = "Cold start: process start to first answer"

    @property
    def _result(self) -> Result:
        return Result(self.title, BARE, self.measured)

    def table(self) -> str:
        """Medians of processor time, with their ratios to the bare handler and of tracing to none."""
        width = max(len(one.name) for one in self.measured)
        lines = [self.title, f"{'':{width}}  CPU ms  to bare  wall ms  traced CPU ms  to untraced"]
        for one, traced in self._rows():
            line = f"{one.name:{width}}  {one.cpu:6.0f}  {self._result.ratio(one):7.2f}  {one.wall:7.0f}"
            if traced:
                line += f"  {traced.cpu:13.0f}  {traced.cpu / one.cpu:11.2f}"
            lines.append(line)
        return "\n".join([*lines, *self._judgement()])

    def document(self) -> Mapping[str, Any]:
        """The medians and all samples of every case, and which bounds hold."""
        return {
            **self._result.document(),
            "writingParquet": list(self.writing_parquet),
            "mostToBare": {"found": round(self.most_to_bare(), 3), "bound": MOST_TO_BARE},
            "mostByTracing": {"found": round(self.most_by_tracing(), 3), "bound": MOST_BY_TRACING},
        }

    def most_to_bare(self) -> float:
        """The largest ratio of a function without the Parquet layer, tracing off, to the bare handler."""
        return max(
            self._result.ratio(one)
            for one, traced in self._rows()
            if traced and one.name not in self.writing_parquet
        )

    def most_by_tracing(self) -> float:
        """The largest ratio of a function with tracing on to the same with tracing off."""
        return max(traced.cpu / one.cpu for one, traced in self._rows() if traced)

    def _rows(self) -> Iterator[tuple[Measured, Measured | None]]:
        """Every case that is not traced, with the one that is."""
        by_name = {one.name: one for one in self.measured}
        for name, one in by_name.items():
            if not name.endswith(TRACED):
                yield one, by_name.get(name + TRACED)

    def _judgement(self) -> list[str]:
        return [
            f"functions without Parquet: at most {self.most_to_bare():.2f} of the bare handler "
            f"(bound {MOST_TO_BARE})",
            f"tracing: at most {self.most_by_tracing():.2f} (bound {MOST_BY_TRACING})",
        ]
