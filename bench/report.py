"""What a benchmark found, as a table for people and as a document for programs."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.measuring import Measured


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


def table(result: Result) -> str:
    """The medians, with the ratio of processor times to the reference."""
    width = max(len(one.name) for one in result.measured)
    lines = [result.title, f"{'':{width}}  CPU ms  wall ms  ratio"]
    lines += [
        f"{one.name:{width}}  {one.cpu:6.0f}  {one.wall:7.0f}  {result.ratio(one):5.2f}"
        for one in result.measured
    ]
    return "\n".join(lines)


def document(results: Sequence[Result]) -> dict[str, Any]:
    """Everything that was measured, with the machine it was measured on."""
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "benchmarks": [
            {
                "title": result.title,
                "reference": result.reference,
                "cases": [
                    {
                        "name": one.name,
                        "cpuMilliseconds": round(one.cpu, 1),
                        "wallMilliseconds": round(one.wall, 1),
                        "ratio": round(result.ratio(one), 3),
                        "samples": [[round(sample.cpu, 1), round(sample.wall, 1)] for sample in one.samples],
                    }
                    for one in result.measured
                ],
            }
            for result in results
        ],
    }
