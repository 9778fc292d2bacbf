"""How far a run is, read from the ledger that its map children write."""

from dataclasses import dataclass

from local.cli.accounts import Account, client
from local.cli.output import counted


@dataclass(frozen=True)
class RangesDone:
    """Byte ranges that are accounted for, and the lines in them."""

    ranges: int = 0
    lines: int = 0

    def __str__(self) -> str:
        return f"{counted(self.ranges, 'range')}, {counted(self.lines, 'resource')} done"


class LedgerProgress:
    """The ledger of the runs in one table."""

    def __init__(self, account: Account, table: str) -> None:
        self._client = client(account, "dynamodb")
        self._table = table

    def of(self, run_id: str) -> RangesDone:
        """What the run's ledger says now."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :run AND begins_with(sk, :range)",
            ExpressionAttributeValues={":run": {"S": f"RUN#{run_id}"}, ":range": {"S": "RANGE#"}},
            ProjectionExpression="#lines",
            ExpressionAttributeNames={"#lines": "lines"},
        )
        lines = [int(item.get("lines", {}).get("N", 0)) for page in pages for item in page["Items"]]
        return RangesDone(len(lines), sum(lines))
