"""Queries in the stack's workgroup: started, waited for, stopped, and read page by page.

Follows the Athena API reference, «StartQueryExecution», «GetQueryExecution», «GetQueryResults» and
«StopQueryExecution».
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from local.cli.errors import CommandError
from local.cli.lake.prices import query_dollars
from local.cli.lake.query_errors import not_run, refused
from local.cli.operations.hub import DeployedHub

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 3.0
_GROWTH = 1.5
_WAITING = ("QUEUED", "RUNNING")
_PAGE = 1000

Row = list[str | None]
# Is told, while a query runs, its state, the seconds since it began and the bytes scanned so far.
Watch = Callable[[str, float, int], None]


@dataclass(frozen=True)
class FinishedQuery:
    """A query that has succeeded, and what it took."""

    query_id: str
    scanned_bytes: int
    seconds: float

    @property
    def dollars(self) -> float:
        return query_dollars(self.scanned_bytes)


@dataclass(frozen=True)
class Athena:
    """The workgroup and the database of a hub."""

    client: Any
    work_group: str
    database: str
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, hub: DeployedHub) -> Athena:
        return cls(
            hub.client("athena"), output_of(hub, "LakeWorkGroupName"), output_of(hub, "LakeDatabaseName")
        )

    def run(self, sql: str, watch: Watch = lambda *_: None) -> FinishedQuery:
        """The query once it has succeeded. Raises CommandError, in plain words, for any other end.

        Whatever ends the waiting, Ctrl-C for one, stops the query: it costs by what it reads.
        """
        query_id = self._start(sql)
        try:
            return self._wait(query_id, watch)
        except BaseException:
            # Whoever may not look at it may not stop it either: the first refusal is the one that tells.
            with suppress(ClientError):
                self.stop(query_id)
            raise

    def stop(self, query_id: str) -> None:
        """Stop the query; one that has ended stays as it is."""
        self.client.stop_query_execution(QueryExecutionId=query_id)

    def columns_and_rows(self, query_id: str) -> tuple[list[str], Iterator[Row]]:
        """Names of the result's columns, and its rows as text, None for NULL. Pages are read as rows are."""
        pages = self._pages(query_id)
        first = next(pages)
        columns = [column["Name"] for column in first["ResultSetMetadata"]["ColumnInfo"]]

        def rows() -> Iterator[Row]:
            # A SELECT begins with the columns' names; SHOW and DESCRIBE do not.
            begin = _rows(first)
            yield from begin[1:] if begin[:1] == [columns] else begin
            for page in pages:
                yield from _rows(page)

        return columns, rows()

    def _start(self, sql: str) -> str:
        try:
            started = self.client.start_query_execution(
                QueryString=sql,
                QueryExecutionContext={"Database": self.database},
                WorkGroup=self.work_group,
            )
        except ClientError as error:
            raise refused(error) from None
        query_id: str = started["QueryExecutionId"]
        return query_id

    def _wait(self, query_id: str, watch: Watch) -> FinishedQuery:
        began = self.clock()
        pause = FIRST_PAUSE_SECONDS
        while True:
            execution = self.client.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            status, statistics = execution["Status"], execution.get("Statistics", {})
            scanned = int(statistics.get("DataScannedInBytes", 0))
            if status["State"] == "SUCCEEDED":
                took = statistics.get("TotalExecutionTimeInMillis", 0) / 1000
                return FinishedQuery(query_id, scanned, took)
            if status["State"] not in _WAITING:
                raise not_run(status["State"], status.get("StateChangeReason", ""), scanned)
            watch(status["State"], self.clock() - began, scanned)
            self.pause(pause)
            pause = min(pause * _GROWTH, LONGEST_PAUSE_SECONDS)

    def _pages(self, query_id: str) -> Iterator[Mapping[str, Any]]:
        more: dict[str, str] = {}
        while True:
            page = self.client.get_query_results(QueryExecutionId=query_id, MaxResults=_PAGE, **more)
            yield page["ResultSet"]
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}


def output_of(hub: DeployedHub, name: str) -> str:
    """An output of the stack; raises CommandError for a stack that has none, from before the lake."""
    if name not in hub.outputs:
        raise CommandError(
            f"The stack {hub.stack_name} has no output {name}.",
            "Deploy the application as it is now, or name another stack with --stack.",
        )
    return hub.outputs[name]


def _rows(page: Mapping[str, Any]) -> list[Row]:
    return [[value.get("VarCharValue") for value in row["Data"]] for row in page["Rows"]]
