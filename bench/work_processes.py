"""Work timed in processes of their own, one after the other or several at once, the cases in turn."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.timed_work import READY

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class WorkCase:
    """Work of a `module` on a file of `size` bytes of a kind, by as many processes at once as are asked, with
    `variables` in their environment. `may_fail` says that failing is a result."""

    kind: str
    module: str
    work: str
    path: Path
    size: int
    warm_up: Path
    processes: int = 1
    variables: Mapping[str, str] = field(default_factory=dict)
    may_fail: bool = False


@dataclass(frozen=True)
class WorkSample:
    """What the processes took together: seconds of the processor, seconds on the wall from the first begin to
    the last end; and the peak memory of the largest, in MB."""

    cpu: float
    wall: float
    peak: float


@dataclass
class WorkMeasured:
    """The samples of a case, or the first words of why it failed."""

    case: WorkCase
    samples: list[WorkSample] = field(default_factory=list)
    failed: str | None = None

    @property
    def rate(self) -> float | None:
        """Median of MB per second of the processor; None where the work failed."""
        return self._median(lambda sample: self._megabytes / sample.cpu)

    @property
    def wall_rate(self) -> float | None:
        """Median of MB per second on the wall, of all processes together."""
        return self._median(lambda sample: self._megabytes / sample.wall)

    @property
    def peak(self) -> float | None:
        """Median of the peak memory in MB."""
        return self._median(lambda sample: sample.peak)

    @property
    def _megabytes(self) -> float:
        return self.case.size * self.case.processes / 1e6

    def _median(self, value: Callable[[WorkSample], float]) -> float | None:
        if self.failed is not None or not self.samples:
            return None
        return statistics.median(map(value, self.samples))

    def document(self) -> dict[str, Any]:
        """Everything that was measured."""
        told: dict[str, Any] = {"work": self.case.work, "input": self.case.kind, "bytes": self.case.size}
        if self.case.processes > 1:
            told["processes"] = self.case.processes
        if self.failed is not None:
            return {**told, "failed": self.failed}
        return {
            **told,
            "megabytesPerCpuSecond": round(self.rate or 0, 2),
            "megabytesPerSecond": round(self.wall_rate or 0, 2),
            "peakMegabytes": round(self.peak or 0, 1),
            "samples": [[round(one.cpu, 4), round(one.wall, 4), round(one.peak, 1)] for one in self.samples],
        }


def measure(
    cases: Sequence[WorkCase],
    samples: int,
    environment: Mapping[str, str],
    folder: Path,
    progress: Progress = lambda _done, _all: None,
) -> list[WorkMeasured]:
    """Time every case `samples` times, all cases in turn; one that fails is not tried again.

    Raises `RuntimeError` when one fails that may not.
    """
    found = [WorkMeasured(case) for case in cases]
    for number in range(samples):
        for position, measured in enumerate(found, start=1):
            if measured.failed is None:
                _take_sample(measured, environment, folder)
            progress(number * len(found) + position, samples * len(found))
    return found


def _take_sample(measured: WorkMeasured, environment: Mapping[str, str], folder: Path) -> None:
    told = run(measured.case, environment, folder)
    failures = [one["failed"] for one in told if "failed" in one]
    if failures:
        measured.failed = failures[0]
        if not measured.case.may_fail:
            raise RuntimeError(f"{measured.case.work} on {measured.case.path.name}: {measured.failed}")
        return
    wall = max(one["end"] for one in told) - min(one["begin"] for one in told)
    cpu, peak = sum(one["cpu"] for one in told), max(one["peak"] for one in told)
    measured.samples.append(WorkSample(cpu, wall, peak))


def run(case: WorkCase, environment: Mapping[str, str], folder: Path) -> list[dict[str, Any]]:
    """What each process of the case told of itself; they begin together when all are ready."""
    command = [sys.executable, "-m", case.module, case.work, str(case.path), str(case.warm_up)]
    processes = []
    for number in range(case.processes):
        own = folder / str(number)
        shutil.rmtree(own, ignore_errors=True)  # what the case before this one has made
        own.mkdir(parents=True)
        processes.append(
            subprocess.Popen(
                [*command, str(own)],
                env={**environment, **case.variables},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in processes:
        _await_ready(process)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [_told(process) for process in processes]


def _await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == READY:
            return


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the process told, or how it ended: the system ends one that takes more memory than there is."""
    output, errors = process.communicate()
    if process.returncode or not output.strip():
        reason = errors.strip().splitlines()[-1:] or [""]
        return {"failed": f"ended with {process.returncode} {reason[0]}".strip()}
    told: dict[str, Any] = json.loads(output.splitlines()[-1])
    return told
