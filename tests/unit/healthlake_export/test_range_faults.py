from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from healthlake_export import quarantine as quarantine_module
from healthlake_export import range_processing
from healthlake_export.errors import ReconciliationFailed
from healthlake_export.event_publisher import EventPublisher
from healthlake_export.lake_files import LakeFiles
from healthlake_export.ledger import Ledger
from healthlake_export.line_outcomes import LineOutcomes
from healthlake_export.ndjson import LineBlock, RangeLines
from healthlake_export.resource_keys import Rejection
from local.testing.range_lab import Lab, patient


def one_by_one(part: Any) -> Iterable[Any]:
    return part.lines() if isinstance(part, LineBlock) else [part]


def skip_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The range function leaves a line out."""
    take = LineOutcomes.take

    def mutant(self: LineOutcomes, part: Any) -> None:
        for line in one_by_one(part):
            if b'"p3"' not in line.text:
                take(self, line)

    monkeypatch.setattr(LineOutcomes, "take", mutant)


def skip_a_line_and_count_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = LineOutcomes._take_resource
    monkeypatch.setattr(
        LineOutcomes,
        "_take_resource",
        lambda self, line, keys: None if keys.id == "p3" else decide(self, line, keys),
    )


def leave_a_row_out_of_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    add = LakeFiles.add
    monkeypatch.setattr(
        LakeFiles, "add", lambda self, line, keys: None if keys.id == "p3" else add(self, line, keys)
    )


def write_a_row_twice_to_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    add = LakeFiles.add

    def mutant(self: LakeFiles, line: Any, keys: Any) -> None:
        for _ in range(2 if keys.id == "p3" else 1):
            add(self, line, keys)

    monkeypatch.setattr(LakeFiles, "add", mutant)


def write_a_refused_row_to_the_lake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LakeFiles, "leave_out", lambda self, offsets: None)


def count_a_line_and_do_not_publish_it(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = EventPublisher.publish
    monkeypatch.setattr(
        EventPublisher,
        "publish",
        lambda self, event: [] if '"p3"' in event.entry["Detail"] else publish(self, event),
    )


def publish_a_line_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    publish = EventPublisher.publish

    def mutant(self: EventPublisher, event: Any) -> list[Any]:
        again = publish(self, event) if '"p3"' in event.entry["Detail"] else []
        return again + publish(self, event)

    monkeypatch.setattr(EventPublisher, "publish", mutant)


def split_without_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The splitter itself loses a line, and does not count it."""
    iterate = RangeLines.blocks

    def mutant(self: RangeLines) -> Any:
        for part in iterate(self):
            for line in one_by_one(part):
                if b'"p3"' in line.text:
                    self.lines -= 1
                else:
                    yield line

    monkeypatch.setattr(RangeLines, "blocks", mutant)


def read_from_the_range_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """A range that does not look at the byte before it loses the line that begins with it."""
    monkeypatch.setattr("healthlake_export.ndjson.reading_starts_at", lambda start: start)
    monkeypatch.setattr(range_processing, "reading_starts_at", lambda start: start)


def own_the_line_that_begins_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    initialise = RangeLines.__init__

    def mutant(self: RangeLines, chunks: Any, *, start: int, end: int) -> None:
        initialise(self, chunks, start=start, end=end + 1)

    monkeypatch.setattr(RangeLines, "__init__", mutant)


def forget_what_was_quarantined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine_module.Quarantine, "reject", lambda self, line, reason: None)


def forget_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The publisher drops an event that EventBridge does not take, and says nothing."""
    finish = EventPublisher.finish
    monkeypatch.setattr(EventPublisher, "finish", lambda self: finish(self) and [])


def keep_a_refused_line_among_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    give_up = LineOutcomes._give_up

    def mutant(self: LineOutcomes, refused: Any) -> None:
        rows = self.rows
        give_up(self, refused)
        self.rows = rows

    monkeypatch.setattr(LineOutcomes, "_give_up", mutant)


def do_not_quarantine_what_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reject = quarantine_module.Quarantine.reject
    monkeypatch.setattr(
        quarantine_module.Quarantine,
        "reject",
        lambda self, line, reason: None if reason is Rejection.EVENT_REFUSED else reject(self, line, reason),
    )


def lose_the_ledger_of_a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Ledger.write
    monkeypatch.setattr(Ledger, "write", lambda self, entry: None if entry.index == 1 else write(self, entry))


WIDTH = len(patient(1)) + 1


@pytest.mark.parametrize(
    "mutate",
    [
        skip_a_line,
        skip_a_line_and_count_its_bytes,
        count_a_line_and_do_not_publish_it,
        publish_a_line_twice,
        split_without_a_line,
        read_from_the_range_itself,
        own_the_line_that_begins_after_the_end,
        forget_what_was_quarantined,
        forget_what_was_refused,
        keep_a_refused_line_among_the_rows,
        do_not_quarantine_what_was_refused,
        lose_the_ledger_of_a_range,
        leave_a_row_out_of_the_lake,
        write_a_row_twice_to_the_lake,
        write_a_refused_row_to_the_lake,
    ],
    ids=lambda mutate: str(mutate.__name__),
)
def test_a_range_function_with_a_fault_does_not_reconcile(
    monkeypatch: pytest.MonkeyPatch, mutate: Any
) -> None:
    content = b"".join(patient(number) + b"\n" for number in range(9)) + b"broken\n"
    lab = Lab.holding(content)
    lab.bus.refused = {"p5": "MalformedDetail"}
    pieces = lab.ranges(2 * WIDTH)
    lab.process(pieces)
    assert lab.reconcile(pieces).lines == 10

    faulty = Lab.holding(content)
    faulty.bus.refused = {"p5": "MalformedDetail"}
    mutate(monkeypatch)
    faulty.process(pieces)
    with pytest.raises(ReconciliationFailed):
        faulty.reconcile(pieces)
