"""Brings one resource in HealthLake to the state that the records have.

Messages arrive late, again, and in any order, and a worker can be slow, die, or never hear what became of its
request. Therefore nothing of a message is replayed. For each resource

1. a claim keeps other workers away for longer than this one can live;
2. the state of the records is read after the version of HealthLake's resource is known;
3. the write goes out on condition of that version. Where it is another one, it begins again at 2.

A write that succeeds thus holds everything that was in the records when the last successful one before it
had ended; every change has a message whose write reads after it; hence the last write has them all.

A resource that does not exist has no version, and may not exist again after two more writes. So a request
that creates one and whose answer was lost is not made again: the claim is left to run out, by when it has
arrived or never will.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from common.errors import HubError
from common.retry_policy import RetryPolicy
from fhir_writer.errors import (
    FhirWriteBusy,
    FhirWriteContended,
    FhirWriteLost,
    ResourceUnmappable,
)
from fhir_writer.fhir_store import FhirStore, OtherVersionError, Version
from fhir_writer.same_content import same_content
from fhir_writer.write_messages import Delivery, FhirWrite, ResourceName
from fhir_writer.writer_state import DELETED, Held, WriterState

MOST_VERSIONS = 5
"""How often a write begins again because somebody else has changed the resource meanwhile."""

POLICY = RetryPolicy(tries=4, first_wait=0.5, longest_wait=5.0)

_Result = TypeVar("_Result")


class Records(Protocol):
    """The records, as they are now."""

    def resource(self, write: FhirWrite) -> bytes | None:
        """The text of the resource that `write` is about; None where there is none any more. Raises
        `ResourceUnmappable`."""


@dataclass(frozen=True)
class Outcome:
    """What was done for the messages of a resource: `written`, `deleted` or `unchanged`; `dropped` of them
    told of nothing new."""

    done: str
    dropped: int = 0


class ResourceWriter:
    """Writes resources, one at a time. Raises what `FhirStore` raises, `FhirWriteContended`, and
    `ResourceUnmappable`; then nothing is noted as applied."""

    def __init__(
        self,
        state: WriterState,
        store: FhirStore,
        records: Records,
        policy: RetryPolicy = POLICY,
        has_time: Callable[[], bool] = lambda: True,
    ) -> None:
        self._state = state
        self._store = store
        self._records = records
        self._policy = policy
        self._has_time = has_time

    def apply(self, writes: Sequence[FhirWrite], delivery: Delivery) -> Outcome:
        """Bring the resource of `writes`, which all name the same one, to the state of the records. They came
        with `delivery`."""
        held = self._state.claim(writes[0].resource, delivery)
        new = [write for write in writes if held.is_new(write)]
        if not new:
            self._state.release(held, held.etag, held.applied)
            return Outcome("unchanged", dropped=len(writes))
        try:
            done, etag = self._converge(held, new[-1])
        except FhirWriteLost:
            raise
        except HubError as error:
            # Whoever tries next need not wait for the claim to run out. A refusal may be of the condition,
            # hence the version is read then.
            untouched = isinstance(error, ResourceUnmappable)
            self._state.release(held, held.etag if untouched else None, held.applied)
            raise
        self._state.release(held, etag, held.with_applied(*new))
        return Outcome(done, dropped=len(writes) - len(new))

    def _converge(self, held: Held, write: FhirWrite) -> tuple[str, str | None]:
        """Returns what was done, and the ETag of what HealthLake has now, None where it is not known."""
        version = _remembered(held) or self._read(held.resource)
        condition = _condition(version)
        for _ in range(MOST_VERSIONS):
            wanted = self._records.resource(write)
            try:
                if wanted is None:
                    return self._delete(held.resource, version, condition)
                return self._put(held.resource, wanted, version, condition)
            except OtherVersionError:
                version = self._read(held.resource)
            # AWS does not say whether a resource that was deleted «exists». Where it does, the claim alone
            # keeps others away.
            condition = {} if version.deleted and "If-None-Match" in condition else _condition(version)
        raise FhirWriteContended("The resource changes faster than it is written.")

    def _put(
        self, resource: ResourceName, wanted: bytes, version: Version, condition: Mapping[str, str]
    ) -> tuple[str, str | None]:
        if version.content and same_content(version.content, wanted):
            # An earlier try has written it and could not say so.
            return "unchanged", version.etag
        may_come_late = version.etag is not None
        etag = self._tried(lambda: self._store.put(resource, wanted, condition), may_come_late=may_come_late)
        return "written", etag

    def _delete(
        self, resource: ResourceName, version: Version, condition: Mapping[str, str]
    ) -> tuple[str, str | None]:
        if version.etag is None:
            return "unchanged", DELETED
        self._tried(lambda: self._store.delete(resource, condition))
        return "deleted", DELETED

    def _read(self, resource: ResourceName) -> Version:
        return self._tried(lambda: self._store.read(resource))

    def _tried(self, call: Callable[[], _Result], *, may_come_late: bool = True) -> _Result:
        """The result of `call`, made again while HealthLake is busy and there is time. `may_come_late` says
        whether it does no harm when a lost request arrives after all."""
        failures = 0
        while True:
            try:
                return call()
            except FhirWriteBusy as busy:
                failures += 1
                if not busy.ended and not may_come_late:
                    raise FhirWriteLost from None
                if failures >= self._policy.tries or not self._has_time():
                    raise
            self._policy.wait(failures)


def _remembered(held: Held) -> Version | None:
    if held.etag is None:
        return None
    return Version(None, deleted=True) if held.etag == DELETED else Version(held.etag)


def _condition(version: Version) -> Mapping[str, str]:
    """What must still be so when the write arrives, as headers."""
    return {"If-None-Match": "*"} if version.etag is None else {"If-Match": version.etag}
