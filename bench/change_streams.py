"""How many records a second the functions that read streams take, next to a handler that only deserialises.

Each case runs in a process of its own and counts processor time; the cases take turns.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.change_records import BATCH, KINDS, UPLOADS, write_batches
from bench.range_function_report import Verdict, geometric_mean
from bench.work_processes import Progress, WorkCase, WorkMeasured, measure

ROOT = Path(__file__).parents[1]
RECORDS = 10_000
WARM_UP = 2 * BATCH
REFERENCE = "deserialise"
UNASKED: Mapping[str, str] = {"json": "TypeDeserializer, then JSON"}
"""What nothing is asked of: a handler that does something with what it has deserialised."""

FUNCTIONS: Mapping[str, str] = {
    "enrich": "enrichment for the bus",
    "rows": "rows of the lake",
    "partition": "partitions of rows",
    "transitions": "detection of transitions",
}
ALL_KINDS = (*KINDS, UPLOADS)
AT_LEAST = 2.0
"""So many times as fast as the reference each function is to be."""

_MODULE = "bench.change_streams_work"


@dataclass(frozen=True)
class StreamReport:
    """Each function and the reference on each kind of records."""

    measured: Sequence[WorkMeasured]
    records: int = RECORDS
    title: str = "Change streams: records per second of one processor"

    def rate(self, work: str, kind: str) -> float:
        """Records per second of the processor; raises RuntimeError when the work has failed."""
        (found,) = [one for one in self.measured if (one.case.work, one.case.kind) == (work, kind)]
        if found.rate is None:
            raise RuntimeError(f"{work} on {kind}: {found.failed}")
        return found.rate * 1e6 / found.case.size * self.records

    def ratio(self, work: str) -> float:
        """How many times as fast as the reference, the geometric mean over the kinds."""
        return geometric_mean(self.rate(work, kind) / self.rate(REFERENCE, kind) for kind in kinds_of(work))

    def verdicts(self) -> list[Verdict]:
        """What is asked."""
        return [
            Verdict(f"{label}, next to boto3's TypeDeserializer", self.ratio(work), AT_LEAST)
            for work, label in FUNCTIONS.items()
        ]

    def table(self) -> str:
        """For people."""
        works = {REFERENCE: "boto3's TypeDeserializer alone", **UNASKED, **FUNCTIONS}
        width = max(map(len, works.values()))
        lines = [self.title, f"{'':{width}}" + "".join(f"{kind:>14}" for kind in ALL_KINDS) + f"{'ratio':>8}"]
        for work, label in works.items():
            rates = "".join(
                f"{self.rate(work, kind):14,.0f}" if kind in kinds_of(work) else " " * 14
                for kind in ALL_KINDS
            )
            lines.append(f"{label:{width}}{rates}{self.ratio(work):8.2f}")
        return "\n".join([*lines, "", *(verdict.line() for verdict in self.verdicts())])

    def document(self) -> Mapping[str, Any]:
        """For programs."""
        return {
            "records": self.records,
            "recordsOfABatch": BATCH,
            "cases": [one.document() for one in self.measured],
            "recordsPerCpuSecond": {
                work: {kind: round(self.rate(work, kind)) for kind in kinds_of(work)}
                for work in (REFERENCE, *UNASKED, *FUNCTIONS)
            },
            "verdicts": [
                {"asked": one.asked, "found": round(one.found, 4), "bound": one.bound, "holds": one.holds}
                for one in self.verdicts()
            ],
        }


def kinds_of(work: str) -> Sequence[str]:
    """The kinds of records that the work is for."""
    if work == REFERENCE or work in UNASKED:
        return ALL_KINDS
    return (UPLOADS,) if work == "transitions" else tuple(KINDS)


def run(samples: int, progress: Progress) -> StreamReport:
    """Measure every function and the reference on every kind of records."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [
            _case(folder, work, kind, RECORDS)
            for work in (REFERENCE, *UNASKED, *FUNCTIONS)
            for kind in kinds_of(work)
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "functions")))}
        return StreamReport(measure(cases, samples, environment, folder, progress))


def _case(folder: Path, work: str, kind: str, records: int) -> WorkCase:
    given, warm_up = folder / f"{kind}.ndjson", folder / f"{kind}-first.ndjson"
    for path, number in ((given, records), (warm_up, WARM_UP)):
        if not path.exists():
            write_batches(kind, number, path)
    return WorkCase(kind, _MODULE, work, given, given.stat().st_size, warm_up)
