"""What benchmarks found, as tables for people and as a document for programs."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bench.measuring import Measured


class Report(Protocol):
    """What one benchmark found. Its title tells it apart from others in bench/results.json."""

    @property
    def title(self) -> str:
        """What was measured, in a few words."""

    def table(self) -> str:
        """For people, with the title as its first line."""

    def document(self) -> Mapping[str, Any]:
        """Everything that was measured, without the title."""


@dataclass(frozen=True)
class Result:
    """The cases of one benchmark; the others are compared with the one named `reference`."""

    title: str
    reference: str
    measured: Sequence[Measured]

    def ratio(self, one: Measured) -> float:
        """Its processor time as a multiple of the reference's."""
        (reference,) = [other for other in self.measured if other.name == self.reference]
        return one.cpu / reference.cpu

    def table(self) -> str:
        """The medians, with the ratio of processor times to the reference."""
        width = max(len(one.name) for one in self.measured)
        lines = [self.title, f"{'':{width}}  CPU ms  wall ms  ratio"]
        lines += [
            f"{one.name:{width}}  {one.cpu:6.0f}  {one.wall:7.0f}  {self.ratio(one):5.2f}"
            for one in self.measured
        ]
        return "\n".join(lines)

    def document(self) -> Mapping[str, Any]:
        """The medians and all samples of every case."""
        cases = [
            {
                "name": one.name,
                "cpuMilliseconds": round(one.cpu, 1),
                "wallMilliseconds": round(one.wall, 1),
                "ratio": round(self.ratio(one), 3),
                "samples": [[round(sample.cpu, 1), round(sample.wall, 1)] for sample in one.samples],
            }
            for one in self.measured
        ]
        return {"reference": self.reference, "cases": cases}


def document(
    reports: Sequence[Report], at: datetime, earlier: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Everything that was measured `at` a time, with the machine it was measured on. Benchmarks that only an
    `earlier` document has stay as they are there."""
    machine = {
        "at": at.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
    }
    found = [{"title": report.title, **machine, **report.document()} for report in reports]
    titles = {report.title for report in reports}
    kept = [one for one in (earlier or {}).get("benchmarks", []) if one.get("title") not in titles]
    return {"benchmarks": kept + found}
