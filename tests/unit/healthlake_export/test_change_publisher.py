"""One event each, or events for many: what a byte range publishes, and what it counts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from healthlake_export.change_publisher import ChangePublisher
from healthlake_export.event_publisher import EventPublisher
from local.testing.range_lab import RUN, Lab, patient

FILE = b"\n".join(patient(number) for number in range(30)) + b"\n"


class Three:
    """A budget of three events."""

    rests: ClassVar[list[int]] = []

    def __init__(self) -> None:
        self.left = 3

    def take(self) -> bool:
        self.left -= 1
        return self.left >= 0

    def give_back(self) -> None:
        self.rests.append(self.left)


def batches(lab: Lab) -> list[Any]:
    details = [json.loads(entry["Detail"]) for entry in lab.bus.entries]
    return [detail for detail in details if "changes" in detail]


def test_a_run_in_batches_tells_of_every_resource_in_few_events() -> None:
    lab = Lab.holding(FILE)
    (entry,) = lab.process(lab.ranges(), replace(RUN, batches=True))
    (told,) = batches(lab)
    assert [change["id"] for change in told["changes"]] == [f"p{number}" for number in range(30)]
    assert (entry.published, entry.batched, entry.rows) == (30, 30, 30)
    assert lab.reconcile(lab.ranges(), replace(RUN, batches=True)).batched == 30


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_what_a_batch_refers_to_is_the_resource_byte_for_byte(mark: bytes) -> None:
    content = mark + FILE
    lab = Lab.holding(content)
    lab.process(lab.ranges(), replace(RUN, batches=True))
    (told,) = batches(lab)
    for number, change in enumerate(told["changes"]):
        assert content[change["offset"] : change["offset"] + change["length"]] == patient(number)


def test_a_snapshot_run_in_batches_says_so() -> None:
    lab = Lab.holding(FILE)
    lab.process(lab.ranges(), replace(RUN, batches=True, snapshot=True))
    assert {entry["DetailType"] for entry in lab.bus.entries} == {"FhirResourceSnapshotBatch"}


def test_past_its_budget_a_range_goes_over_to_batches_and_loses_nothing(monkeypatch: Any) -> None:
    monkeypatch.setattr("healthlake_export.range_processing.Unlimited", Three)
    lab = Lab.holding(FILE)
    (entry,) = lab.process(lab.ranges())
    single = [detail["meta"]["id"] for detail in details(lab) if "changes" not in detail]
    batched = [change["id"] for detail in batches(lab) for change in detail["changes"]]
    assert (len(single), sorted(single + batched)) == (3, sorted(f"p{number}" for number in range(30)))
    assert (entry.published, entry.batched) == (30, 27)


def test_what_a_range_did_not_spend_is_given_back_when_its_events_are_out(monkeypatch: Any) -> None:
    monkeypatch.setattr("healthlake_export.range_processing.Unlimited", Three)
    monkeypatch.setattr(Three, "rests", [])
    lab = Lab.holding(patient(1) + b"\n")
    lab.process(lab.ranges())
    assert Three.rests == [2]


def test_a_batch_that_is_refused_for_good_is_quarantined_line_by_line(monkeypatch: Any) -> None:
    lab = Lab.holding(FILE)
    monkeypatch.setattr(lab.bus, "put_events", refuse_batches)
    (entry,) = lab.process(lab.ranges(), replace(RUN, batches=True))
    assert (entry.rows, entry.published, entry.batched, entry.quarantined) == (0, 0, 0, 30)
    assert [record["line"] for record in lab.quarantined()] == [patient(n).decode() for n in range(30)]
    assert entry.published_ids == 0


def test_a_change_that_never_reaches_an_event_shows_in_the_counts(monkeypatch: Any) -> None:
    """The mutant: a batch is forgotten. Rows are counted elsewhere than what was accepted."""
    monkeypatch.setattr(ChangePublisher, "finish", lambda self: EventPublisher.finish(self._events))
    lab = Lab.holding(FILE)
    (entry,) = lab.process(lab.ranges(), replace(RUN, batches=True))
    assert (entry.rows, entry.published) == (30, 0)


def details(lab: Lab) -> list[Any]:
    return [json.loads(entry["Detail"]) for entry in lab.bus.entries]


def refuse_batches(*, Entries: list[Any]) -> Any:  # noqa: N803 - the SDK's name
    return {"Entries": [{"ErrorCode": "MalformedDetail"} for _ in Entries]}
