"""What the demo found: the report that programs read, and the checks that decide whether it adds up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.cli.export import Run, run_document
from local.demo.checks import Check, equal
from local.demo.lake_count import LakeCount
from local.demo.redrive_count import RedriveCount
from local.demo.streams.stream_count import StreamCount

REPORTED = (
    "runId",
    "status",
    "since",
    "jobId",
    "files",
    "ranges",
    "lines",
    "published",
    "repeated",
    "quarantined",
    "seconds",
    "stateTransitions",
)
DOLLARS_PER_TRANSITION = 25 / 1_000_000


@dataclass
class Report:
    """The numbers of one demo; `queue_drained` says that nothing was left to count at the bus. Of the
    `patients` that changes of records have made, `joined` are in the lake as record and as resource."""

    loaded: int = 0
    rejected: int = 0
    changed: int = 0
    runs: list[Mapping[str, Any]] = field(default_factory=list)
    seen_by_run: list[int] = field(default_factory=list)
    events_on_bus: int = 0
    distinct_event_ids: int = 0
    queue_drained: bool = False
    lake: LakeCount = field(default_factory=lambda: LakeCount({}, 0, 0))
    redrive: RedriveCount = field(default_factory=RedriveCount)
    streams: StreamCount = field(default_factory=StreamCount)
    patients: int = 0
    joined: int = 0

    def add_run(self, run: Run, events_seen: int) -> None:
        """Add a run that completed, and how many of its events the subscriber has seen."""
        document = run_document(run)
        self.runs.append({name: document.get(name) for name in REPORTED})
        self.seen_by_run.append(events_seen)

    def document(self) -> dict[str, Any]:
        """The report as written to .local/demo.json."""
        return {
            "loaded": self.loaded,
            "rejected": self.rejected,
            "changed": self.changed,
            "runs": self.runs,
            "eventsOnBus": self.events_on_bus,
            "distinctEventIds": self.distinct_event_ids,
            "lake": self.lake.document(),
            "redrive": self.redrive.document(),
            "streams": self.streams.document(),
        }

    def checks(self) -> list[Check]:
        """Everything that has to hold of two runs and of the redrive."""
        checks = []
        for name, run in zip(("full run", "incremental run"), self.runs, strict=True):
            parts = [run[part] for part in ("published", "repeated", "quarantined")]
            sums = f"{run['lines']:,} = {' + '.join(f'{part:,}' for part in parts)}"
            checks.append(
                Check(f"{name}: lines = published + repeated + quarantined", run["lines"] == sum(parts), sums)
            )
            allowed = 12 + 4 * run["ranges"]
            checks.append(
                Check(
                    f"{name}: state transitions ≤ 12 + 4 × ranges",
                    run["stateTransitions"] <= allowed,
                    f"{run['stateTransitions']:,} ≤ {allowed:,}",
                )
            )
        first, second = (run["published"] for run in self.runs)
        published = first + second
        counts = (self.events_on_bus, self.distinct_event_ids, published)
        return [
            *checks,
            equal("full run published what was loaded", first, self.loaded),
            equal("incremental run published what was changed", second, self.changed),
            Check(
                "events on the bus = distinct event ids = all published",
                len(set(counts)) == 1,
                " = ".join(f"{count:,}" for count in counts),
            ),
            # a count that was taken while more was to come proves nothing
            Check(
                "every event at the bus was counted",
                self.queue_drained,
                "the queue is empty" if self.queue_drained else "events are still in the queue",
            ),
            *self._lake_checks(),
            *self.redrive.checks(),
            *self.streams.checks(),
            equal("change streams: patients of the table came out of the export", self.joined, self.patients),
        ]

    def _lake_checks(self) -> list[Check]:
        """A row for each resource that was published, and one current version of each."""
        rows = [self.lake.rows_by_run.get(run["runId"], 0) for run in self.runs]
        published = [run["published"] for run in self.runs]
        return [
            Check(
                "rows of both runs in the lake, by SQL = published",
                rows == published,
                " and ".join(f"{row:,} = {told:,}" for row, told in zip(rows, published, strict=True)),
            ),
            equal("the lake's current versions = its resources", self.lake.latest, self.lake.resources),
        ]

    def rows(self) -> list[tuple[object, ...]]:
        """The table of runs: one row per number, one column per run."""
        columns = [{**run, "eventsSeen": seen} for run, seen in zip(self.runs, self.seen_by_run, strict=True)]
        for column in columns:
            column["rows"] = self.lake.rows_by_run.get(column["runId"], 0)
            column["dollars"] = f"${column['stateTransitions'] * DOLLARS_PER_TRANSITION:.5f}"
        return [(label, *(column[name] for column in columns)) for name, label in LABELS.items()]


LABELS = {
    "status": "status",
    "since": "changed since",
    "files": "files exported",
    "ranges": "byte ranges",
    "lines": "resources in them",
    "published": "published as events",
    "repeated": "repeated (recognised, not sent again)",
    "quarantined": "quarantined",
    "eventsSeen": "events seen at the bus",
    "rows": "rows in the lake",
    "seconds": "seconds",
    "stateTransitions": "state transitions",
    "dollars": "what those cost on AWS",
}
