"""Handling of a batch of the FIFO queue: by resource, each of which fails or succeeds alone.

AWS Lambda Developer Guide, «Handling errors for an SQS event source in Lambda»: of a FIFO queue a failed
message is reported together with those that follow it in its group.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from common.errors import InvalidInput
from common.observability import count, logger, presentable, write_counts
from fhir_writer.errors import FhirWriteBusy, ResourceRefused, ResourceUnmappable
from fhir_writer.resource_writer import Outcome
from fhir_writer.write_messages import Delivery, FhirWrite


class Writer(Protocol):
    """Brings a resource up to date."""

    def apply(self, writes: Sequence[FhirWrite], delivery: Delivery) -> Outcome:
        """See `ResourceWriter.apply`."""


class Failures(Protocol):
    """Keeps what cannot be written."""

    def keep(self, write: FhirWrite, failure: ResourceRefused | ResourceUnmappable) -> None:
        """See `FailedWrites.keep`."""


@dataclass
class _Group:
    """The messages of one resource in their order, up to the first that cannot be read; `left` are others."""

    delivery: Delivery
    writes: list[FhirWrite] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def answer_fifo_batch(
    records: Sequence[Mapping[str, Any]],
    writer: Writer,
    failures: Failures,
    has_time: Callable[[], bool] = lambda: True,
) -> dict[str, list[dict[str, str]]]:
    """Bring every resource of the batch up to date, once for all of its messages, while there is time;
    returns `batchItemFailures`."""
    left: list[str] = []
    for group in _groups(records).values():
        if group.writes and not (has_time() and _applied(group, writer, failures)):
            left += group.taken
        left += group.left
    for message_id in left:
        logger().error("message left in the queue", message_id=message_id)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in left]}


def _groups(records: Sequence[Mapping[str, Any]]) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    for record in records:
        attributes = record["attributes"]
        delivery = Delivery(record["messageId"], int(attributes["ApproximateReceiveCount"]))
        group = groups.setdefault(attributes["MessageGroupId"], _Group(delivery))
        try:
            write = None if group.left else FhirWrite.from_meta(_json(record["body"]))
        except InvalidInput as error:
            presentable(error)
            write = None
        if write is None:
            group.left.append(record["messageId"])
        else:
            group.writes.append(write)
            group.taken.append(record["messageId"])
    return groups


def _json(body: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput("A message of the writer's queue is no JSON.") from None


def _applied(group: _Group, writer: Writer, failures: Failures) -> bool:
    """Whether the messages of a resource are done with. What comes up with one resource, whatever it is,
    leaves the others of the batch alone."""
    try:
        try:
            _tell(writer.apply(group.writes, group.delivery))
        except (ResourceRefused, ResourceUnmappable) as refusal:
            for write in group.writes:
                failures.keep(write, refusal)
            presentable(refusal)
            count(FhirWritesQuarantined=len(group.writes))
    except FhirWriteBusy as error:
        presentable(error)
        count(FhirWritesBusy=1)
        return False
    except Exception as error:
        presentable(error)
        return False
    finally:
        write_counts()
    return True


def _tell(outcome: Outcome) -> None:
    if outcome.done == "written":
        count(FhirResourcesWritten=1)
    if outcome.done == "deleted":
        count(FhirResourcesDeleted=1)
    if outcome.dropped:
        count(FhirWritesDropped=outcome.dropped)
