"""A batch of a stream: each item's transitions go out in their order, and none after one that did not.

Follows «Configuring partial batch response with DynamoDB and Lambda» of the AWS Lambda Developer Guide: the
lowest sequence number that is reported is where Lambda goes on, so everything behind it comes again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from common.errors import HubError
from common.observability import presentable
from transitions.detection import Transition, detect, item_of, read
from transitions.errors import UnreadableRecord
from transitions.outputs import Outputs
from transitions.rules import Rule


@dataclass
class Outcome:
    """What became of a batch: the places of records that failed, and how many transitions went out."""

    failed: dict[bytes, int] = field(default_factory=dict)
    sent: int = 0


class Batch:
    """The records of one call of the function, in the order of the stream."""

    def __init__(self, records: Sequence[Any], rules: Mapping[str, Sequence[Rule]]) -> None:
        self._records = records
        self._rules = rules
        self._outcome = Outcome()

    def send_to(self, outputs: Outputs) -> Outcome:
        """Send every transition; an item stops at its first record that fails, others go on."""
        waiting = self._detected()
        while waiting:
            heads = [(item, *one.popleft()) for item, one in waiting.items()]
            refused = outputs.send([transition for _, _, transition in heads])
            self._outcome.sent += len(heads) - len(refused)
            stopped = {heads[place][0] for place in refused}
            for place in refused:
                self._fail(*heads[place][:2])
            waiting = {item: one for item, one in waiting.items() if one and item not in stopped}
        return self._outcome

    def _fail(self, item: bytes, at: int) -> None:
        self._outcome.failed[item] = min(at, self._outcome.failed.get(item, at))

    def _detected(self) -> dict[bytes, deque[tuple[int, Transition]]]:
        """The transitions of each item in order, with the place of the record that each is of."""
        waiting: dict[bytes, deque[tuple[int, Transition]]] = {}
        for at, written in enumerate(self._records):
            item = item_of(written) or f"record {at}".encode()
            if item in self._outcome.failed:
                continue
            try:
                found = detect(read(written), self._rules)
            except HubError as error:
                presentable(error)
                self._fail(item, at)
                continue
            if found:
                waiting.setdefault(item, deque()).extend((at, one) for one in found)
        return waiting


def report(records: Sequence[Any], outcome: Outcome) -> dict[str, Any]:
    """What Lambda is answered: the first record that failed. Raises `UnreadableRecord` where that record does
    not say its place in the stream, so that Lambda halves the batch instead."""
    if not outcome.failed:
        return {"batchItemFailures": []}
    try:
        number = records[min(outcome.failed.values())]["dynamodb"]["SequenceNumber"]
    except (KeyError, TypeError):
        number = None
    if not isinstance(number, str) or not number:
        raise UnreadableRecord("A record does not say its place in the stream.")
    return {"batchItemFailures": [{"itemIdentifier": number}]}
