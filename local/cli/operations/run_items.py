"""The items of one run in the hub's table: its ledger, and the byte ranges that failed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from common.table_values import plain
from healthlake_export.errors import ReconciliationFailed
from healthlake_export.ledger import LedgerItem
from healthlake_export.reconciliation import require_outcomes
from healthlake_export.table_keys import ledger_partition

SUMMED = ("lines", "rows", "published", "batched", "repeated", "quarantined", "withheld")


def read_ledger(client: Any, table: str, run_id: str, index: int | None = None) -> list[LedgerItem]:
    """Every ledger item of the run by index, or the one of a byte range."""
    beginning = "RANGE#" if index is None else f"RANGE#{index:06d}"
    return [LedgerItem.from_item(item) for item in _items(client, table, run_id, beginning)]


def read_failures(client: Any, table: str, run_id: str) -> list[dict[str, Any]]:
    """Byte ranges that failed, with error and reason, by index; some may have been processed since."""
    return [
        {name: value for name, value in plain(item).items() if name in ("index", "error", "reason")}
        for item in _items(client, table, run_id, "FAILED#")
    ]


def _items(client: Any, table: str, run_id: str, beginning: str) -> Iterator[Mapping[str, Any]]:
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :run AND begins_with(sk, :beginning)",
        ExpressionAttributeValues={":run": ledger_partition(run_id), ":beginning": {"S": beginning}},
        ConsistentRead=True,
    )
    for page in pages:
        yield from page["Items"]


def short(key: str) -> str:
    """The type and the file's name in the key of an exported file, as tables show it."""
    return "/".join(key.split("/")[-2:])


def adds_up(item: LedgerItem) -> bool:
    """Whether every line and every byte of the range has an outcome."""
    try:
        require_outcomes(item, events=item.published > 0)
    except ReconciliationFailed:
        return False
    return True


@dataclass(frozen=True)
class FileSummary:
    """What became of an exported file, over its byte ranges."""

    key: str
    ranges: int
    bytes: int
    counts: Mapping[str, int]
    adds_up: bool

    def document(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "ranges": self.ranges,
            "bytes": self.bytes,
            **self.counts,
            "addsUp": self.adds_up,
        }


def summarise_files(ledger: Iterable[LedgerItem]) -> list[FileSummary]:
    """One summary per exported file, by key."""
    by_key = groupby(sorted(ledger, key=lambda item: (item.key, item.start)), key=lambda item: item.key)
    return [_summary(key, list(items)) for key, items in by_key]


def _summary(key: str, items: list[LedgerItem]) -> FileSummary:
    return FileSummary(
        key=key,
        ranges=len(items),
        bytes=sum(item.end - item.start for item in items),
        counts={name: sum(getattr(item, name) for item in items) for name in SUMMED},
        adds_up=all(map(adds_up, items)),
    )
