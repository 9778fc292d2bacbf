"""Whole runs of the deployed hub on the local account, over 1, 2, 4 and 8 times the data.

The datastore is filled in four parts of 4, 2, 1 and 1 times the data, the largest first, and every part has
resources of every type. A replay since the beginning of the last part exports 1 time the data, since the
one before it 2 times, and so on: all sizes are run in the same account, in turn, so that what else the
machine does meets them alike. A run over nothing, with no change since the run before, stands beside them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.local_hub import FunctionUse, LocalHub, RunUse, deployed_hub
from local.cli.load import load_files
from local.cli.output import Output
from local.sample_data.exact_json import exact_json
from local.sample_data.generator import generate

TITLE = "Whole runs on the local account"
NOTHING = "nothing changed"
SIZES = (1, 2, 4, 8)
PATIENTS_PER_SIZE = 100
"""4,400 resources of 14 types; eight times as many take a minute to load."""

PARAMETERS = {
    # one byte range per file at every size, as on AWS
    "RangeSizeMegabytes": "64",
    "FirstCheckDelaySeconds": "1",
    "MaxCheckDelaySeconds": "2",
    # the first run, which sets the watermark, publishes nothing, and the one after it finds nothing
    "FullRunEvents": "off",
    "OverlapSeconds": "0",
}
# In which part, of 4, 2, 1 and 1 times the data, each of eight resources of a type goes: the smallest first,
# so that no part lacks a type.
_PARTS = (3, 2, 1, 1, 0, 0, 0, 0)
_BEFORE_EVERYTHING = "2000-01-01T00:00:00.000Z"
_APART_SECONDS = 1.1

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Size:
    """The runs over one size of data."""

    name: str
    runs: Sequence[RunUse]

    @property
    def seconds(self) -> float:
        """Median of the time per run."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def last(self) -> RunUse:
        return self.runs[-1]

    @property
    def resources(self) -> int:
        return int(self.last.output["lines"])


@dataclass(frozen=True)
class WholeRuns:
    """What was found; `sizes` begin with the run over nothing."""

    sizes: Sequence[Size]
    title: str = TITLE

    @property
    def samples(self) -> int:
        """Runs over each size."""
        return len(self.sizes[0].runs)

    def table(self) -> str:
        """Time and transitions of every size, requests of every service, and whether they hold."""
        lines = [f"{self.title}, medians of {self.samples} in turn", *_time_table(self.sizes), ""]
        lines += [*_request_table(self.sizes), "", *_function_table(self.sizes), ""]
        lines += [f"{'holds' if holds else 'FAILS'}: {claim}" for claim, holds in self.verdicts()]
        return "\n".join(lines)

    def verdicts(self) -> list[tuple[str, bool]]:
        """What has to hold of the runs, and whether it does."""
        filled = self.sizes[1:]
        transitions = {(size.last.transitions, size.last.child_transitions) for size in filled}
        per_range = {size.last.child_transitions - int(size.last.output["ranges"]) for size in filled}
        slower = [more.seconds > 2 * less.seconds for less, more in pairwise(filled)]
        return [
            ("transitions do not depend on the number of resources", len(transitions) == 1),
            ("each byte range takes one transition", per_range == {0}),
            ("twice the data takes at most twice the time", not any(slower)),
        ]

    def document(self) -> Mapping[str, Any]:
        """Everything of every run; times of each run, counts of the last."""
        return {
            "parameters": PARAMETERS,
            "verdicts": dict(self.verdicts()),
            "sizes": [
                {
                    "name": size.name,
                    "resources": size.resources,
                    "bytes": size.last.output["bytes"],
                    "files": size.last.output["files"],
                    "ranges": size.last.output["ranges"],
                    "seconds": [round(run.seconds, 2) for run in size.runs],
                    "transitions": size.last.transitions,
                    "childTransitions": size.last.child_transitions,
                    "requests": dict(sorted(size.last.requests.items())),
                    "functions": {name: asdict(use) for name, use in averages(size.runs).items()},
                }
                for size in self.sizes
            ],
        }


def run(samples: int, progress: Progress) -> WholeRuns:
    """Deploy, load and run; takes a few minutes. Raises RuntimeError when a run does not complete."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        deployed_hub(Path(folder) / "account", PARAMETERS) as hub,
    ):
        since = _fill(hub, Path(folder) / "data")
        hub.run({})  # the first run is a full one, and functions are cold in it
        hub.run(since["8×"])
        inputs: dict[str, Mapping[str, Any]] = {NOTHING: {}, **since}
        found: dict[str, list[RunUse]] = {name: [] for name in inputs}
        for done, (name, document) in enumerate(_in_turn(inputs, samples), start=1):
            found[name].append(hub.run(document))
            progress(done, samples * len(inputs))
    return WholeRuns([Size(name, tuple(runs)) for name, runs in found.items()])


def averages(runs: Sequence[RunUse]) -> dict[str, FunctionUse]:
    """What a run took of each function: medians of times on the wall, means of processor times, which the
    kernel counts in hundredths of a second; counts of the last run."""
    last = runs[-1].functions
    return {
        name: FunctionUse(
            use.invocations,
            round(statistics.median(one.functions[name].wall_ms for one in runs), 1),
            round(statistics.fmean(one.functions[name].cpu_ms for one in runs), 1),
            use.log_bytes,
            use.requests,
        )
        for name, use in last.items()
    }


def parts(patients: int) -> list[dict[str, list[str]]]:
    """The resources as lines, by part and type: 4, 2, 1 and 1 eighths of all, each with every type."""
    divided: list[dict[str, list[str]]] = [{} for _ in SIZES]
    seen: dict[str, int] = {}
    for resource in generate(patients):
        kind = resource["resourceType"]
        number = seen.get(kind, 0)
        seen[kind] = number + 1
        divided[_PARTS[number % len(_PARTS)]].setdefault(kind, []).append(exact_json(resource))
    return divided


def _fill(hub: LocalHub, folder: Path) -> dict[str, Mapping[str, Any]]:
    """Load the parts, the largest first; returns the input of a run over each size."""
    since: dict[str, Mapping[str, Any]] = {}
    begins = _BEFORE_EVERYTHING
    for size, part in zip(reversed(SIZES), parts(PATIENTS_PER_SIZE * SIZES[-1]), strict=True):
        since[f"{size}×"] = {"since": begins}
        where = folder / str(size)
        where.mkdir(parents=True)
        for kind, texts in part.items():
            (where / f"{kind}.ndjson").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        endpoint = hub.outputs["DatastoreEndpoint"]
        load_files(hub.account, endpoint, sorted(where.iterdir()), Output(as_json=True))
        time.sleep(_APART_SECONDS)
        begins = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return dict(reversed(since.items()))


def _in_turn(
    inputs: Mapping[str, Mapping[str, Any]], samples: int
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for _ in range(samples):
        yield from inputs.items()


def _time_table(sizes: Sequence[Size]) -> list[str]:
    lines = [
        f"{'':16} resources      MB  ranges  seconds  per 1,000  transitions  of the map's children",
    ]
    for size in sizes:
        use, resources = size.last, size.resources
        each = f"{1000 * size.seconds / resources:9.2f}" if resources else f"{'-':>9}"
        lines.append(
            f"{size.name:16} {resources:9,} {use.output['bytes'] / 1e6:7.1f} {use.output['ranges']:7} "
            f"{size.seconds:8.1f}  {each} {use.transitions:12} {use.child_transitions:22}"
        )
    return lines


def _request_table(sizes: Sequence[Size]) -> list[str]:
    names = sorted(set().union(*(size.last.requests for size in sizes)))
    return _columns("requests", sizes, names, lambda size, name: size.last.requests.get(name, 0))


def _function_table(sizes: Sequence[Size]) -> list[str]:
    used = [averages(size.runs) for size in sizes]
    lines = [f"{'CPU ms per run':40}" + "".join(f"{size.name:>16}" for size in sizes)]
    for name in sorted(set().union(*used)):
        cells = [f"{one[name].cpu_ms:.0f}/{one[name].invocations}" if name in one else "-" for one in used]
        lines.append(f"{name + ' / calls':40}" + "".join(f"{cell:>16}" for cell in cells))
    return lines


def _columns(
    title: str, sizes: Sequence[Size], names: Sequence[str], value: Callable[[Size, str], int]
) -> list[str]:
    lines = [f"{title:40}" + "".join(f"{size.name:>16}" for size in sizes)]
    lines += [f"{name:40}" + "".join(f"{value(size, name):>16,}" for size in sizes) for name in names]
    return lines
