"""What writes have come to at the far ends, each counted on distinct ids, and what has to hold of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from local.demo.checks import Check, equal


@dataclass(frozen=True)
class StreamCount:
    """`changes`, `resources`, `expected_transitions` and `expected_jobs` are told from what was written; the
    others were met: events at the bus, rows in the lake, resources in HealthLake that are as the table is in
    the end, transitions as jobs or objects, and jobs that workers have committed."""

    writes: int = 0
    changes: int = 0
    resources: int = 0
    expected_transitions: int = 0
    expected_jobs: int = 0
    events: int = 0
    lake_rows: int = 0
    fhir_writes: int = 0
    transitions: int = 0
    jobs_done: int = 0
    problems: Sequence[str] = ()

    @property
    def lost(self) -> int:
        """Everything that was expected anywhere and did not arrive there."""
        expected_and_met = (
            (self.changes, self.events),
            (self.changes, self.lake_rows),
            (self.resources, self.fhir_writes),
            (self.expected_transitions, self.transitions),
            (self.expected_jobs, self.jobs_done),
        )
        return sum(max(0, expected - met) for expected, met in expected_and_met)

    def document(self) -> dict[str, int]:
        """The counts as written to .local/demo.json."""
        return {
            "writes": self.writes,
            "changes": self.changes,
            "events": self.events,
            "lakeRows": self.lake_rows,
            "fhirWrites": self.fhir_writes,
            "transitions": self.transitions,
            "jobsDone": self.jobs_done,
            "lost": self.lost,
        }

    def checks(self) -> list[Check]:
        """Everything that has to hold of changes."""
        checks = [
            Check(
                "some writes change something, some do not", 0 < self.changes < self.writes, self._written()
            ),
            equal("distinct events at the bus = changes", self.events, self.changes),
            equal("distinct rows in the lake = changes", self.lake_rows, self.changes),
            equal("resources in HealthLake are as the items in the end", self.fhir_writes, self.resources),
            equal("transitions arrived = expected", self.transitions, self.expected_transitions),
            equal("jobs done by workers = transitions to the queue", self.jobs_done, self.expected_jobs),
            Check("what arrived says what was written", not self.problems, self._first_problem()),
            equal("none is lost", self.lost, 0),
        ]
        return [replace(check, name=f"change streams: {check.name}") for check in checks]

    def _written(self) -> str:
        return f"{self.changes:,} of {self.writes:,}"

    def _first_problem(self) -> str:
        return (
            f"{len(self.problems)} problems, first {self.problems[0]}"
            if self.problems
            else "to the last digit"
        )
