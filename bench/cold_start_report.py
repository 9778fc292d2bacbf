"""What cold starts were found to take: a row for each function, with tracing off and on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from bench.measuring import Measured
from bench.report import Result

BARE = "bare handler, one client"
TRACED = ", tracing on"
UNCOMPILED = ", tracing on, not compiled"
"""What the names of cases end with that are measured with tracing on, and with modules as they are deployed,
beside the one that is measured without."""

MOST_TO_BARE = 1.25
MOST_BY_TRACING = 1.15


class _Row(NamedTuple):
    """A case without tracing, and the same with it and with modules as they are deployed."""

    plain: Measured
    traced: Measured | None
    uncompiled: Measured | None


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
        """Medians, with the ratios of processor time to the bare handler's and of tracing to none."""
        rows = list(self._rows())
        width = max(len(row.plain.name) for row in rows)
        heads = ("CPU ms", "to bare", "wall ms", "traced", "to untraced", "not compiled")
        lines = [self.title, f"{'':{width}}  " + "  ".join(heads)]
        for row in rows:
            plain = row.plain
            cells = [f"{plain.cpu:6.0f}", f"{self._result.ratio(plain):7.2f}", f"{plain.wall:7.0f}"]
            if row.traced and row.uncompiled:
                cells += [f"{row.traced.cpu:6.0f}", f"{row.traced.cpu / plain.cpu:11.2f}"]
                cells += [f"{row.uncompiled.cpu:12.0f}"]
            lines.append(f"{plain.name:{width}}  " + "  ".join(cells))
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
            self._result.ratio(row.plain)
            for row in self._rows()
            if row.traced and row.plain.name not in self.writing_parquet
        )

    def most_by_tracing(self) -> float:
        """The largest ratio of a function with tracing on to the same with tracing off."""
        return max(row.traced.cpu / row.plain.cpu for row in self._rows() if row.traced)

    def _rows(self) -> Iterator[_Row]:
        by_name = {one.name: one for one in self.measured}
        for name, one in by_name.items():
            if not name.endswith((TRACED, UNCOMPILED)):
                yield _Row(one, by_name.get(name + TRACED), by_name.get(name + UNCOMPILED))

    def _judgement(self) -> list[str]:
        return [
            f"functions without Parquet: at most {self.most_to_bare():.2f} of the bare handler "
            f"(bound {MOST_TO_BARE})",
            f"tracing: at most {self.most_by_tracing():.2f} (bound {MOST_BY_TRACING})",
        ]
