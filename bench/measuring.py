"""Measures programs side by side: one process per sample, the cases in turn, so that what else the machine
does meets all of them alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A program to measure, by a name that the report shows."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Sample:
    """What one process took, in milliseconds: of the processor, user and system, and on the wall."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Measured:
    """The samples of one case."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def cpu(self) -> float:
        """Median of the processor time, milliseconds."""
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def wall(self) -> float:
        """Median of the time on the wall, milliseconds."""
        return statistics.median(sample.wall for sample in self.samples)


def measure(
    cases: Sequence[Case], samples: int, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> list[Measured]:
    """Run every case `samples` times, after once for caches; raises CalledProcessError when one fails."""
    found: dict[str, list[Sample]] = {case.name: [] for case in cases}
    for done, (case, counts) in enumerate(_in_turn(cases, samples), start=1):
        sample = run(case)
        if counts:
            found[case.name].append(sample)
        progress(done, len(cases) * (samples + 1))
    return [Measured(name, tuple(taken)) for name, taken in found.items()]


def _in_turn(cases: Sequence[Case], samples: int) -> Iterator[tuple[Case, bool]]:
    for number in range(samples + 1):
        for case in cases:
            yield case, number > 0


def run(case: Case) -> Sample:
    """Run the case in a process of its own and wait for its end."""
    began = time.perf_counter()
    with subprocess.Popen(case.command, env=case.environment, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, case.command)
    return Sample(1000 * (usage.ru_utime + usage.ru_stime), 1000 * wall)
