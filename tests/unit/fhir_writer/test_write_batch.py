"""A batch of the FIFO queue: resources fail alone, and with a failed message those behind it in its group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.errors import HubError
from fhir_writer.errors import FhirWriteBusy, FhirWriteDenied, ResourceUnmappable
from fhir_writer.resource_writer import Outcome
from fhir_writer.write_batch import answer_fifo_batch
from fhir_writer.write_messages import Delivery, FhirWrite
from local.testing.fhir_writer_hub import fifo_record


@dataclass
class Writer:
    """Notes what it is to write; raises what it is told for a resource."""

    troubles: dict[str, Exception] = field(default_factory=dict)
    asked: list[tuple[list[str], Delivery]] = field(default_factory=list)

    def apply(self, writes: Sequence[FhirWrite], delivery: Delivery) -> Outcome:
        self.asked.append(([one.event_id for one in writes], delivery))
        if trouble := self.troubles.get(writes[0].resource_id):
            raise trouble
        return Outcome("written")


@dataclass
class Failures:
    kept: list[str] = field(default_factory=list)

    def keep(self, write: FhirWrite, failure: HubError) -> None:
        self.kept.append(write.event_id)


def record(event_id: str, person: str, delivered: int = 1) -> dict[str, Any]:
    write = FhirWrite(event_id, "Patient", person, "PATIENT", "stream", "1", "Patient", person)
    return fifo_record(f"m-{event_id}", write, delivered)


def left(records: list[dict[str, Any]], writer: Writer, **more: Any) -> list[str]:
    answer = answer_fifo_batch(records, writer, more.pop("failures", Failures()), **more)
    return [one["itemIdentifier"] for one in answer["batchItemFailures"]]


def test_messages_of_one_resource_are_one_write_with_the_delivery_of_the_first() -> None:
    writer = Writer()
    assert left([record("a", "p1", 2), record("b", "p2"), record("c", "p1", 1)], writer) == []
    assert writer.asked == [(["a", "c"], Delivery("m-a", 2)), (["b"], Delivery("m-b", 1))]


@pytest.mark.parametrize(
    "trouble", [FhirWriteBusy("busy"), FhirWriteDenied("denied"), ValueError("unexpected")]
)
def test_of_a_resource_that_fails_all_messages_are_left_and_of_others_none(trouble: Exception) -> None:
    records = [record("a", "p1"), record("b", "p2"), record("c", "p1")]
    assert left(records, Writer({"p1": trouble})) == ["m-a", "m-c"]


def test_behind_a_message_that_cannot_be_read_its_group_waits_and_before_it_it_goes_on() -> None:
    broken = {**record("b", "p1"), "body": "{"}
    writer = Writer()
    records = [record("a", "p1"), broken, record("c", "p1"), record("d", "p2")]
    assert left(records, writer) == ["m-b", "m-c"]
    assert [asked for asked, _ in writer.asked] == [["a"], ["d"]]


def test_what_no_try_would_write_is_kept_and_taken_out_of_the_queue() -> None:
    failures = Failures()
    trouble = ResourceUnmappable("Patient.birthDate could not be mapped: NOT_A_DATE.")
    records = [record("a", "p1"), record("b", "p1"), record("c", "p2")]
    assert left(records, Writer({"p1": trouble}), failures=failures) == []
    assert failures.kept == ["a", "b"]


def test_a_failure_that_could_not_be_kept_stays_in_the_queue() -> None:
    class Full(Failures):
        def keep(self, write: FhirWrite, failure: HubError) -> None:
            raise OSError

    records = [record("a", "p1"), record("b", "p2")]
    assert left(records, Writer({"p1": ResourceUnmappable("no")}), failures=Full()) == ["m-a"]


def test_what_there_is_no_time_for_is_left() -> None:
    times = iter([True, False])
    writer = Writer()
    assert left([record("a", "p1"), record("b", "p2")], writer, has_time=lambda: next(times)) == ["m-b"]
    assert [asked for asked, _ in writer.asked] == [["a"]]
