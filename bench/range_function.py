"""How fast the range function turns NDJSON into events and Parquet, next to the parts of its work, each
alone, and to the general tools that one would otherwise take.

Each case runs in a process of its own, after its imports and a small input, and counts processor time, so
that what else the machine does counts little. The cases take turns.
"""

from __future__ import annotations

import os
import sysconfig
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from bench.fhir_data import CACHE, KINDS, BenchData
from bench.range_function_report import EVENTS, PARTS, PRODUCT, TOOL_MODULE, RangeReport
from bench.tools import TOOLS
from bench.work_processes import Progress, WorkCase, measure
from local.testing.template_reader import read

ROOT = Path(__file__).parents[1]
MEGABYTE = 1_000_000
PARQUET_BYTES = 64 * MEGABYTE
"""Somewhat less than the byte range that the template has by default."""

EVENTS_BYTES = 8 * MEGABYTE
"""Events take some twenty times as long."""

WARM_UP_BYTES = MEGABYTE // 5
SIZES = tuple(megabytes * MEGABYTE for megabytes in (1, 8, 64, 256, 1000))
"""Of files of mixed resources; the largest has one line of 5 MB."""

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
"""Where files are written, if the system has it: a disk that is busy costs processor time too."""

_PRODUCT = "bench.range_function_work"

_BETTER_WITHOUT = "pyarrow"
"""Tools of this name are up to an eighth slower with the function's variables, for Arrow's own allocator
keeps more memory for them. All others are as fast with them as without."""


def run(samples: int, progress: Progress) -> RangeReport:
    """Measure everything, on the data in the folder that the variable DATA names, if it does."""
    given = os.environ.get("DATA")
    data = BenchData(Path(given) if given else None)
    side_by_side, together, sizes = _side_by_side(data), _together(data), _sizes(data)
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else CACHE) as folder:
        cases = [*side_by_side, *together, *sizes]
        found = measure(cases, samples, _environment(), Path(folder), progress)
    sizes[-1].path.unlink()
    made_up = [kind for kind in KINDS if data.input(kind, WARM_UP_BYTES).made_up]
    first, second = len(side_by_side), len(side_by_side) + len(together)
    return RangeReport(found[:first], found[first:second], found[second:], made_up)


def _side_by_side(data: BenchData) -> list[WorkCase]:
    """Parts, product and tools on inputs of one size; those with events on less of the same."""
    cases = []
    for kind in KINDS:
        cases += [_case(data, kind, _PRODUCT, name, PARQUET_BYTES) for name in (*PARTS, *PRODUCT)]
        cases += [_case(data, kind, _PRODUCT, name, EVENTS_BYTES) for name in EVENTS]
        cases += [_case(data, kind, TOOL_MODULE, name, PARQUET_BYTES) for name in TOOLS]
    return cases


def _together(data: BenchData) -> list[WorkCase]:
    """The function in one process, and in two at once."""
    return [_case(data, "mixed", _PRODUCT, "parquet", PARQUET_BYTES, processes=number) for number in (1, 2)]


def _sizes(data: BenchData) -> list[WorkCase]:
    """The function on files from small to large."""
    return [_case(data, "mixed", _PRODUCT, "parquet", size, long_line=size == SIZES[-1]) for size in SIZES]


def _case(
    data: BenchData,
    kind: str,
    module: str,
    work: str,
    size: int,
    *,
    processes: int = 1,
    long_line: bool = False,
) -> WorkCase:
    given, warm_up = data.input(kind, size, long_line=long_line), data.input(kind, WARM_UP_BYTES)
    may_fail = module == TOOL_MODULE
    variables = {} if may_fail and _BETTER_WITHOUT in work else _function_environment()
    return WorkCase(kind, module, work, given.path, given.size, warm_up.path, processes, variables, may_fail)


def _environment() -> Mapping[str, str]:
    """That of the processes: with the product, and the tools in the environment that has them."""
    packages = Path(sysconfig.get_path("purelib")).relative_to(sysconfig.get_path("data"))
    path = (ROOT, ROOT / "functions", ROOT / ".cache" / "bench" / packages)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}


@cache
def _function_environment() -> Mapping[str, str]:
    """The variables of its own that the template gives the function."""
    function = read(ROOT / "template.yaml")["Resources"]["ProcessRangeFunction"]
    variables: Mapping[str, str] = function["Properties"].get("Environment", {}).get("Variables", {})
    return variables
