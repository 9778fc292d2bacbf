"""What is asked of HealthLake for the changes of one resource, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from common.healthlake_http import HttpAnswer, Unreachable
from common.retry_policy import RetryPolicy
from fhir_writer.errors import (
    FhirWriteBusy,
    FhirWriteContended,
    FhirWriteDenied,
    ResourceRefused,
    ResourceUnmappable,
)
from fhir_writer.fhir_store import FhirStore
from fhir_writer.resource_writer import Outcome, ResourceWriter
from fhir_writer.write_messages import Delivery, FhirWrite
from fhir_writer.writer_state import DELETED, Held

OUTCOME = b'{"resourceType": "OperationOutcome", "issue": [{"code": "invalid"}]}'
FIRST = Delivery("m1", 1)
LOST = Unreachable("ReadTimeoutError", sent=True)
NOT_SENT = Unreachable("EndpointConnectionError", sent=False)


def answer(status: int, version: int | None = None, content: bytes = b"") -> HttpAnswer:
    return HttpAnswer(status, content, {} if version is None else {"etag": f'W/"{version}"'})


@dataclass
class Http:
    """Gives the prepared answers and keeps the requests."""

    answers: list[HttpAnswer | Exception]
    requests: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def exchange(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        assert path == "Patient/p1"
        self.requests.append((method, dict(headers or {})))
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given


@dataclass
class State:
    etag: str | None = None
    applied: dict[str, str] = field(default_factory=dict)
    released: bool = False

    def claim(self, resource: Any, delivery: Delivery) -> Held:
        self.released = False
        return Held(resource, "me", self.etag, dict(self.applied))

    def release(self, held: Held, etag: str | None, applied: Mapping[str, str]) -> None:
        self.etag, self.applied, self.released = etag, dict(applied), True


@dataclass
class Records:
    state: bytes | None = b'{"resourceType": "Patient", "id": "p1", "x": 1.10}'
    reads: int = 0

    def resource(self, write: FhirWrite) -> bytes | None:
        self.reads += 1
        return self.state


class Unmappable(Records):
    def resource(self, write: FhirWrite) -> bytes | None:
        raise ResourceUnmappable("It has no name.")


@dataclass
class Bench:
    http: Http
    state: State
    records: Records
    writer: ResourceWriter

    @property
    def asked(self) -> list[tuple[str, Mapping[str, str]]]:
        return self.http.requests


def bench(*answers: HttpAnswer | Exception, etag: str | None = None, records: Records | None = None) -> Bench:
    http, state, kept = Http(list(answers)), State(etag), records or Records()
    policy = RetryPolicy(tries=3, sleep=lambda _: None)
    writer = ResourceWriter(state, FhirStore(http), kept, policy)  # type: ignore[arg-type]
    return Bench(http, state, kept, writer)


def write(sequence: int = 100, sk: str = "PATIENT", stream: str = "2026-11-01T00:00:00.000") -> FhirWrite:
    return FhirWrite(f"e{sequence}", "Patient", "p1", sk, stream, str(sequence), "Patient", "p1")


def test_a_resource_that_is_not_there_is_written_on_condition_that_it_is_not() -> None:
    lab = bench(answer(404), answer(201, 1))
    assert lab.writer.apply([write()], FIRST) == Outcome("written")
    assert lab.asked == [("GET", {}), ("PUT", {"If-None-Match": "*"})]
    assert lab.state.etag == 'W/"1"'


def test_the_version_that_was_written_last_is_the_condition_of_the_next_write() -> None:
    lab = bench(answer(200, 4), etag='W/"3"')
    lab.writer.apply([write()], FIRST)
    assert lab.asked == [("PUT", {"If-Match": 'W/"3"'})]
    assert lab.state.etag == 'W/"4"'


def test_the_version_is_taken_from_the_resource_where_no_header_names_it() -> None:
    lab = bench(HttpAnswer(200, b'{"meta": {"versionId": "9"}}'), etag='W/"8"')
    lab.writer.apply([write()], FIRST)
    assert lab.state.etag == 'W/"9"'


def test_after_a_conflict_version_and_records_are_read_again() -> None:
    other = b'{"resourceType": "Patient", "id": "p1", "x": 1.1}'
    lab = bench(answer(412), answer(200, 7, other), answer(200, 8), etag='W/"3"')
    assert lab.writer.apply([write()], FIRST) == Outcome("written")
    assert lab.asked[-1] == ("PUT", {"If-Match": 'W/"7"'})
    assert lab.records.reads == 2


def test_what_an_earlier_try_has_written_is_not_written_again() -> None:
    stored = b'{"resourceType":"Patient","id":"p1","x":1.10,"meta":{"versionId":"4"}}'
    lab = bench(answer(412), answer(200, 4, stored), etag='W/"3"')
    assert lab.writer.apply([write()], FIRST) == Outcome("unchanged")
    assert lab.state.etag == 'W/"4"'


def test_a_write_whose_answer_was_lost_is_made_again_on_the_same_condition() -> None:
    lab = bench(LOST, answer(200, 4), etag='W/"3"')
    lab.writer.apply([write()], FIRST)
    assert lab.asked == [("PUT", {"If-Match": 'W/"3"'})] * 2


def test_a_creation_whose_answer_was_lost_is_left_until_it_cannot_arrive_any_more() -> None:
    lab = bench(answer(404), LOST)
    with pytest.raises(FhirWriteBusy):
        lab.writer.apply([write()], FIRST)
    assert len(lab.asked) == 2
    assert not lab.state.released


def test_a_creation_that_was_never_sent_is_made_again() -> None:
    lab = bench(answer(404), NOT_SENT, answer(503), answer(201, 1))
    assert lab.writer.apply([write()], FIRST) == Outcome("written")


def test_a_resource_without_its_base_item_is_deleted() -> None:
    lab = bench(answer(204), etag='W/"3"', records=Records(None))
    assert lab.writer.apply([write()], FIRST) == Outcome("deleted")
    assert lab.asked == [("DELETE", {"If-Match": 'W/"3"'})]
    assert lab.state.etag == DELETED


@pytest.mark.parametrize("status", [404, 410])
def test_what_is_not_there_need_not_be_deleted(status: int) -> None:
    lab = bench(answer(status), records=Records(None))
    assert lab.writer.apply([write()], FIRST) == Outcome("unchanged")
    gone = bench(answer(status), etag='W/"3"', records=Records(None))
    assert gone.writer.apply([write()], FIRST) == Outcome("deleted")


def test_a_deleted_resource_is_created_again() -> None:
    lab = bench(answer(201, 5), etag=DELETED)
    assert lab.writer.apply([write()], FIRST) == Outcome("written")
    assert lab.asked == [("PUT", {"If-None-Match": "*"})]


def test_where_deleted_resources_count_as_existing_they_are_created_without_a_condition() -> None:
    lab = bench(answer(412), answer(410), answer(200, 5), etag=DELETED)
    assert lab.writer.apply([write()], FIRST) == Outcome("written")
    assert lab.asked[-1] == ("PUT", {})


def test_older_and_repeated_changes_of_an_item_are_dropped() -> None:
    lab = bench(answer(200, 4), etag='W/"3"')
    lab.writer.apply([write(100)], FIRST)
    assert lab.writer.apply([write(99), write(100)], FIRST) == Outcome("unchanged", dropped=2)
    assert len(lab.asked) == 1
    assert lab.state.etag == 'W/"4"'


def test_sequence_numbers_of_two_items_are_not_compared() -> None:
    lab = bench(answer(200, 4), answer(200, 5), etag='W/"3"')
    lab.writer.apply([write(100)], FIRST)
    assert lab.writer.apply([write(50, sk="ADDRESS#1")], FIRST) == Outcome("written")


def test_sequence_numbers_of_two_streams_are_not_compared() -> None:
    """A table that was restored has another stream, whose numbers may be lower."""
    lab = bench(answer(200, 4), answer(200, 5), etag='W/"3"')
    lab.writer.apply([write(900)], FIRST)
    assert lab.writer.apply([write(20, stream="2026-11-20T09:00:00.000")], FIRST) == Outcome("written")


def test_a_longer_sequence_number_is_a_later_one() -> None:
    lab = bench(answer(200, 4), answer(200, 5), etag='W/"3"')
    lab.writer.apply([write(99)], FIRST)
    assert lab.writer.apply([write(100)], FIRST) == Outcome("written")


def test_many_changes_of_a_resource_are_one_write() -> None:
    lab = bench(answer(200, 4), etag='W/"3"')
    assert lab.writer.apply([write(n) for n in range(100, 110)], FIRST) == Outcome("written")
    assert len(lab.asked) == 1


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_a_busy_healthlake_is_asked_again_and_then_left(status: int) -> None:
    assert (
        bench(answer(status), answer(200, 4), etag='W/"3"').writer.apply([write()], FIRST).done == "written"
    )
    lab = bench(*[answer(status)] * 3, etag='W/"3"')
    with pytest.raises(FhirWriteBusy, match=f"PUT with {status}"):
        lab.writer.apply([write()], FIRST)
    assert lab.state.applied == {}


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_resource_that_is_refused_as_it_is_is_given_back(status: int) -> None:
    lab = bench(answer(status, content=OUTCOME), etag='W/"3"')
    with pytest.raises(ResourceRefused) as raised:
        lab.writer.apply([write()], FIRST)
    assert raised.value.answer == OUTCOME
    assert b"invalid" not in str(raised.value).encode()
    assert (lab.state.released, lab.state.applied, lab.state.etag) == (True, {}, None)


def test_after_a_refusal_which_may_be_of_the_condition_a_later_change_reads_the_version() -> None:
    lab = bench(answer(400, content=OUTCOME), answer(200, 7, b"{}"), answer(200, 8), etag='W/"3"')
    with pytest.raises(ResourceRefused):
        lab.writer.apply([write(100)], FIRST)
    assert lab.writer.apply([write(101)], FIRST) == Outcome("written")
    assert lab.asked[1:] == [("GET", {}), ("PUT", {"If-Match": 'W/"7"'})]
    assert lab.state.etag == 'W/"8"'


def test_a_resource_that_somebody_else_has_deleted_is_created_again() -> None:
    gone = answer(410, content=OUTCOME)
    lab = bench(gone, answer(410), answer(201, 5), answer(200, 6), etag='W/"3"')
    assert lab.writer.apply([write(100)], FIRST) == Outcome("written")
    assert lab.asked[1:] == [("GET", {}), ("PUT", {"If-None-Match": "*"})]
    assert lab.writer.apply([write(101)], FIRST) == Outcome("written")


def test_what_cannot_be_mapped_leaves_the_version_known() -> None:
    lab = bench(etag='W/"3"', records=Unmappable())
    with pytest.raises(ResourceUnmappable):
        lab.writer.apply([write()], FIRST)
    assert (lab.state.released, lab.state.etag) == (True, 'W/"3"')


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (answer(403), "It needs healthlake:UpdateResource"),
        (answer(404, content=OUTCOME), "PUT with 404"),
        (answer(400, content=b"<html>"), "PUT with 400"),
    ],
)
def test_what_is_not_about_the_resource_is_no_reason_to_give_it_up(given: HttpAnswer, says: str) -> None:
    with pytest.raises(FhirWriteDenied, match=says):
        bench(given, etag='W/"3"').writer.apply([write()], FIRST)


def test_a_resource_that_somebody_else_keeps_changing_is_left_for_later() -> None:
    rivals = [one for n in range(5) for one in (answer(412), answer(200, n, b'{"a": 1}'))]
    with pytest.raises(FhirWriteContended):
        bench(*rivals, etag='W/"0"').writer.apply([write()], FIRST)
