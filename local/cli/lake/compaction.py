"""A compaction of one resource type: the latest version of each resource, written by Athena, then shown.

No row passes through this machine. The order of the steps keeps the table whole wherever this ends: files are
written where nobody reads, the partition is changed in one call, and only then, and late, what is out of use
is deleted. What a run that failed has left in the lake are true versions, and count like any other.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from local.cli.errors import CommandError
from local.cli.lake.athena import Athena, FinishedQuery
from local.cli.lake.compaction_sql import continued, everything, unloaded
from local.cli.lake.generations import Generations, generation_name, outdated
from local.cli.lake.latest_partitions import LatestPartitions, Partition
from local.cli.lake.prices import bytes_text
from local.cli.lake.source_files import Coverage, SourceFiles, source_files

# What a statement may hold of days, far below Athena's 262,144 bytes.
MOST_DAYS = 1000

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a compaction reads: nothing, everything, or the partition and the files of some days."""

    how: str
    days: frozenset[str] = frozenset()


UP_TO_DATE = Plan("up to date")
EVERYTHING = Plan("all files")


def plan(sources: SourceFiles, covered: Coverage | None, held_bytes: int) -> Plan:
    """The cheapest way that is exact. `covered` is what the partition, of `held_bytes`, covers."""
    fresh = sources.since(covered) if covered is not None else None
    if fresh is None:
        return EVERYTHING
    if not fresh:
        return UP_TO_DATE
    days = frozenset(file.day for file in fresh)
    if len(days) > MOST_DAYS or held_bytes + sources.of_days(days) >= sources.size:
        return EVERYTHING
    return Plan("new files", days)


@dataclass(frozen=True)
class Compacted:
    """What a compaction came to. `superseded`: another one changed the partition in the meantime."""

    resource_type: str
    how: str
    files: int
    query: FinishedQuery | None = None
    written_bytes: int = 0
    superseded: bool = False


@dataclass(frozen=True)
class Compactor:
    """Compacts types of a hub's lake."""

    athena: Athena
    generations: Generations
    partitions: LatestPartitions
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    chance: Callable[[], str] = lambda: secrets.token_hex(4)

    def compact(self, resource_type: str, tell: Tell = lambda _: None, *, full: bool = False) -> Compacted:
        """Bring the type's partition up to date."""
        tell("listing files")
        sources = source_files(self.generations.s3, self.generations.bucket, resource_type)
        before = self.partitions.read(resource_type)
        in_use = self._generation_of(resource_type, before)
        chosen = EVERYTHING if full else self._plan(resource_type, sources, before, in_use)
        files = len(sources.files)
        if chosen == UP_TO_DATE or (not sources.files and before is None):
            self._clean_up(resource_type, in_use, tell)
            return Compacted(resource_type, UP_TO_DATE.how, files)
        generation = generation_name(self.clock(), self.chance())
        query = self._write(resource_type, generation, chosen, tell)
        written = self.generations.size(resource_type, generation)
        if sources.files and not written:
            raise _nothing_was_written(resource_type)
        if self.partitions.read(resource_type) != before:
            self.generations.delete(resource_type, generation, tell)
            return Compacted(resource_type, chosen.how, files, query, superseded=True)
        self._show(resource_type, generation, sources, replaces=before is not None)
        self._clean_up(resource_type, generation, tell)
        return Compacted(resource_type, chosen.how, files, query, written)

    def _plan(
        self, resource_type: str, sources: SourceFiles, before: Partition | None, in_use: str | None
    ) -> Plan:
        if before is None or in_use is None:
            return EVERYTHING
        covered = Coverage.in_parameters(before.parameters)
        return plan(sources, covered, self.generations.size(resource_type, in_use))

    def _write(self, resource_type: str, generation: str, chosen: Plan, tell: Tell) -> FinishedQuery:
        """Let Athena write the generation."""
        select = continued(resource_type, chosen.days) if chosen.days else everything(resource_type)
        location = self.generations.location(resource_type, generation)
        return self.athena.run(
            unloaded(select, location),
            lambda state, seconds, scanned: tell(
                f"{chosen.how}, {state.lower()}, {seconds:.0f} s, {bytes_text(scanned)} read"
            ),
        )

    def _show(self, resource_type: str, generation: str, sources: SourceFiles, *, replaces: bool) -> None:
        """Let the partition point at the generation."""
        coverage = sources.coverage()
        parameters = coverage.parameters() if coverage else {}
        location = self.generations.location(resource_type, generation)
        self.partitions.put(resource_type, Partition(location, parameters), replaces=replaces)

    def _clean_up(self, resource_type: str, in_use: str | None, tell: Tell) -> None:
        """Delete what is out of use for long, what compactions left that were killed included."""
        for name in outdated(self.generations.names(resource_type), in_use, self.clock()):
            self.generations.delete(resource_type, name, tell)

    def _generation_of(self, resource_type: str, partition: Partition | None) -> str | None:
        return self.generations.name_in(resource_type, partition.location) if partition else None


def _nothing_was_written(resource_type: str) -> CommandError:
    """Files that are there have rows: a partition without any would hide what is there."""
    return CommandError(
        f"Athena has not written the rows of {resource_type} where it was told to.",
        "Nothing was changed. See the query in Athena's history, and where its workgroup writes results.",
    )
