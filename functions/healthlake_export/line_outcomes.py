"""What becomes of each line of a byte range.

| outcome     | meaning                                                                              |
|-------------|--------------------------------------------------------------------------------------|
| row         | in the lake, and published where the run publishes                                   |
| repeated    | a version that the run before has left its id of: neither published nor written again |
| quarantined | kept whole, with the reason                                                          |
| withheld    | names a patient that was erased: left out of everything                              |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from healthlake_export import erasures
from healthlake_export.change_events import ChangeEvent, event_id
from healthlake_export.change_publisher import ChangePublisher
from healthlake_export.compartment_keys import KeyReader, patient_ids
from healthlake_export.lake_files import LakeFiles
from healthlake_export.ndjson import Line, LineBlock, OversizedLine
from healthlake_export.published_ids import IdCollector, OverlapWindow, PublishedIds
from healthlake_export.quarantine import Quarantine
from healthlake_export.resource_keys import Rejection, ResourceKeys


@dataclass(frozen=True)
class Destinations:
    """Where lines go. `publisher` is None where a run publishes nothing, and `kept_ids` where it leaves
    no ids to the next run."""

    lake: LakeFiles
    quarantine: Quarantine
    publisher: ChangePublisher | None
    kept_ids: IdCollector | None


class LineOutcomes:
    """Decides what becomes of each line and counts it: `rows`, `repeated`, `withheld`, and the bytes of all.

    A row whose event is refused for good is quarantined instead. `overlap` is what the next run will see
    again, `previous` what this one does, and `erased` the patients that were erased.
    """

    def __init__(
        self,
        datastore_id: str,
        destinations: Destinations,
        *,
        previous: PublishedIds,
        overlap: OverlapWindow,
        erased: frozenset[str],
    ) -> None:
        self._datastore_id = datastore_id
        self._lake = destinations.lake
        self._quarantine = destinations.quarantine
        self._publisher = destinations.publisher
        self._kept_ids = destinations.kept_ids
        self._previous = previous
        self._overlap = overlap
        self._erased = erased
        self._keys = KeyReader()
        # Then every good line is a row and nothing else has to be known of it.
        self._only_rows = destinations.publisher is None and not previous and not erased
        self.rows = 0
        self.repeated = 0
        self.withheld = 0
        self.line_bytes = 0

    def take(self, part: LineBlock | Line | OversizedLine) -> None:
        """Decide about lines."""
        self.make_room(part.length)
        self.line_bytes += part.length
        if isinstance(part, LineBlock):
            self._take_block(part)
        elif isinstance(part, Line):
            self._take_line(part)
        else:
            self._reject(part, Rejection.TOO_LONG)

    def make_room(self, more: int) -> None:
        """Write rows if so many bytes more cannot be held beside them. A row can be left out of the lake
        until it is written: its event is accepted or refused by then."""
        if self._lake.is_full_with(more):
            if self._publisher is not None:
                self._give_up(self._publisher.settle())
            self._lake.make_room(more)

    def finish(self) -> None:
        """Wait until the event of every row is accepted or refused; the counts are final then."""
        if self._publisher is not None:
            self._give_up(self._publisher.finish())

    def _take_block(self, block: LineBlock) -> None:
        keys = self._keys.read_block(block.texts)
        if keys is None:
            for line in block.lines():
                self._take_line(line)
        elif self._only_rows:
            self.rows += len(keys)
            latest = self._lake.add_block(block.texts, keys)
            if self._kept_ids is not None and not self._overlap.begins_after(latest):
                self._keep_ids(self._kept_ids, block.texts, keys)
        else:
            for line, key in zip(block.lines(), keys, strict=True):
                self._take_resource(line, key)

    def _take_line(self, line: Line) -> None:
        keys = self._keys.read(line.text)
        if not isinstance(keys, Rejection):
            self._take_resource(line, keys)
        else:
            self._reject(line, keys)

    def _reject(self, line: Line | OversizedLine, reason: Rejection) -> None:
        if not self._quarantine.reject_unless_erased(line, reason):
            self.withheld += 1

    def _take_resource(self, line: Line, keys: ResourceKeys) -> None:
        if self._erased and self._is_of_erased(line, keys):
            self.withheld += 1
            self._lake.without(keys.resourceType)
            return
        identity = event_id(self._datastore_id, keys, line.text)
        if identity in self._previous:
            self.repeated += 1
            self._lake.without(keys.resourceType)
        else:
            self.rows += 1
            self._lake.add(line, keys)
            if self._publisher is not None:
                self._give_up(self._publisher.publish(identity, keys, line))
        if self._kept_ids is not None and self._overlap.holds(_last_updated(keys)):
            self._kept_ids.add(identity)

    def _is_of_erased(self, line: Line, keys: ResourceKeys) -> bool:
        return erasures.names(patient_ids(keys), self._erased) or erasures.refers(line.text, self._erased)

    def _keep_ids(self, kept: IdCollector, texts: Sequence[bytes], keys: Sequence[ResourceKeys]) -> None:
        for text, key in zip(texts, keys, strict=True):
            if self._overlap.holds(_last_updated(key)):
                kept.add(event_id(self._datastore_id, key, text))

    def _give_up(self, refused: Iterable[ChangeEvent]) -> None:
        changes = [change for event in refused for change in event.changes]
        for change in changes:
            self.rows -= 1
            if isinstance(change.line, Line):
                self._quarantine.reject(change.line, Rejection.EVENT_REFUSED)
            else:
                self._quarantine.reject_at(change.line, Rejection.EVENT_REFUSED)
            if self._kept_ids is not None:
                self._kept_ids.leave_out(change.identity)
        self._lake.leave_out(change.line.offset for change in changes)


def _last_updated(keys: ResourceKeys) -> str | None:
    return keys.meta.lastUpdated if keys.meta else None
