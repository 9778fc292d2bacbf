"""Compaction against the local Athena and Glue: fhir_latest is what fhir_current is, wherever it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.account.testing import running_account
from local.cli.compact import compact, compactor_of
from local.cli.errors import CommandError
from local.cli.lake.athena import Athena, Row
from local.cli.lake.compaction import Compactor
from local.cli.lake.generations import Generations
from local.cli.lake.latest_partitions import LatestPartitions
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.testing.lake_stack import Version, deploy_lake, objects, write_versions

LATER = timedelta(hours=10)
COLUMNS = (
    "id, version_id, last_updated, patient_ids, datastore_id, run_id, resource, resource_type, export_date"
)


class Killed(BaseException):
    """Nothing is done any more, not even what cleans up."""


class Mortal:
    """A client whose calls end in death from the nth on, counted together with those of its siblings."""

    def __init__(self, client: Any, calls: list[str], last: int) -> None:
        self._client, self._calls, self._last = client, calls, last

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name == "get_paginator":
            return lambda operation: _MortalPages(found(operation), self)

        def call(**arguments: Any) -> Any:
            self.live(name)
            return found(**arguments)

        return call

    def live(self, name: str) -> None:
        if len(self._calls) >= self._last:
            raise Killed
        self._calls.append(name)


class _MortalPages:
    def __init__(self, pages: Any, mortal: Mortal) -> None:
        self._pages, self._mortal = pages, mortal

    def paginate(self, **arguments: Any) -> Any:
        self._mortal.live("paginate")
        return self._pages.paginate(**arguments)


@pytest.fixture(scope="module")
def account_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedHub]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("athena",)) as account:
        yield deploy_lake(account)


@pytest.fixture
def lake(account_lake: DeployedHub) -> Iterator[DeployedHub]:
    """The lake, with nothing in it that another test has left."""
    yield account_lake
    s3, bucket = account_lake.client("s3"), account_lake.outputs["LakeBucketName"]
    for key in objects(account_lake, ""):
        s3.delete_object(Bucket=bucket, Key=key)
    partitions = LatestPartitions(account_lake.client("glue"), account_lake.outputs["LakeDatabaseName"])
    for kind in partitions.types():
        partitions.glue.delete_partition(
            DatabaseName=partitions.database, TableName="fhir_latest", PartitionValues=[kind]
        )


def ask(lake: DeployedHub, sql: str) -> list[Row]:
    athena = Athena.of(lake)
    return list(athena.columns_and_rows(athena.run(sql).query_id)[1])


def rows(lake: DeployedHub, table: str, kind: str = "Patient") -> list[Row]:
    return ask(
        lake, f"select {COLUMNS} from {table} where resource_type = '{kind}' order by id, datastore_id"
    )


def generations(lake: DeployedHub) -> set[str]:
    return {key.split("/")[2] for key in objects(lake, "current/")}


def next_second() -> None:
    """Times of objects are told in seconds; after a file of the same second everything is read again."""
    time.sleep(1.05 - time.time() % 1)


def at(lake: DeployedHub, moment: datetime) -> Compactor:
    return replace(compactor_of(lake), clock=lambda: moment)


def test_the_table_becomes_what_the_view_is(lake: DeployedHub) -> None:
    write_versions(lake, "Patient", [Version("a", text='{"v":1.10}'), Version("b", None, None)], run="run-1")
    write_versions(lake, "Patient", [Version("a", "2"), Version("c", patients=("c", "d"))], run="run-2")
    write_versions(lake, "Observation", [Version("o")], run="run-2")

    assert compact(lake, Output()) == 0
    for kind in ("Patient", "Observation"):
        assert rows(lake, "fhir_latest", kind) == rows(lake, "fhir_current", kind) != []


def test_only_new_files_are_read_where_that_is_cheaper(lake: DeployedHub) -> None:
    many = [Version(f"p{n}", patients=(f"p{n}",), text=f'{{"id":"p{n}"}}') for n in range(2000)]
    for day in range(10, 18):
        write_versions(lake, "Patient", many, run=f"run-{day}", day=f"2026-11-{day}")
    compactor = compactor_of(lake)
    assert compactor.compact("Patient").how == "all files"
    next_second()
    write_versions(lake, "Patient", [Version("p7", "2"), Version("new")], run="run-20", day="2026-11-20")

    second = compactor.compact("Patient")
    assert second.how == "new files"
    assert rows(lake, "fhir_latest") == rows(lake, "fhir_current")
    full = compactor.compact("Patient", full=True)
    assert second.query is not None
    assert full.query is not None
    assert second.query.scanned_bytes < full.query.scanned_bytes / 2
    assert rows(lake, "fhir_latest") == rows(lake, "fhir_current")
    assert compactor.compact("Patient").how == "up to date"


@pytest.mark.parametrize("change", ["rewritten", "removed", "late"])
def test_what_was_covered_and_has_changed_since_is_read_again(lake: DeployedHub, change: str) -> None:
    versions = [Version("a", "9"), *(Version(f"p{n}") for n in range(500))]
    write_versions(lake, "Patient", versions, run="run-1", day="2026-11-10")
    key = write_versions(lake, "Patient", [Version("a", "10")], run="run-2", day="2026-11-11")
    compactor = compactor_of(lake)
    compactor.compact("Patient")
    if change == "rewritten":
        write_versions(lake, "Patient", [Version("other")], run="run-2", day="2026-11-11")
    elif change == "removed":
        lake.client("s3").delete_object(Bucket=lake.outputs["LakeBucketName"], Key=key)
    else:
        write_versions(lake, "Patient", [Version("a", "11")], run="run-0", day="2026-11-09")

    assert compactor.compact("Patient").how == "all files" or change == "late"
    assert rows(lake, "fhir_latest") == rows(lake, "fhir_current")


def test_a_type_whose_files_are_all_gone_becomes_empty(lake: DeployedHub) -> None:
    key = write_versions(lake, "Patient", [Version("a")])
    compactor_of(lake).compact("Patient")
    lake.client("s3").delete_object(Bucket=lake.outputs["LakeBucketName"], Key=key)

    assert compact(lake, Output()) == 0
    assert rows(lake, "fhir_latest") == []


def test_wherever_it_is_killed_the_table_is_whole_and_the_next_run_mends_it(lake: DeployedHub) -> None:
    write_versions(lake, "Patient", [Version("a"), Version("b")], run="run-1")
    compactor = compactor_of(lake)
    compactor.compact("Patient")
    before = rows(lake, "fhir_latest")
    write_versions(lake, "Patient", [Version("a", "2")], run="run-2")
    after = rows(lake, "fhir_current")
    assert before != after

    calls: list[str] = []
    seen: list[bool] = []
    finished = False
    while not finished:
        last, moment = len(seen), datetime.now(UTC)
        calls.clear()
        try:
            mortal(compactor, calls, last).compact("Patient")
            finished = True
        except Killed:
            pass
        found = rows(lake, "fhir_latest")
        assert found in (before, after), f"after {calls}"
        seen.append(found == after)
    # Once it is shown, it stays; and whatever a dead run leaves does not keep the next from finishing.
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (False, True)
    at(lake, moment + LATER).compact("Patient", full=True)
    at(lake, moment + 2 * LATER).compact("Patient")
    assert rows(lake, "fhir_latest") == after
    assert len(generations(lake)) == 1


def mortal(compactor: Compactor, calls: list[str], last: int) -> Compactor:
    """The compactor, killed before its nth call of AWS."""

    def lives(client: Any) -> Any:
        return Mortal(client, calls, last)

    generations = Generations(lives(compactor.generations.s3), compactor.generations.bucket)
    partitions = LatestPartitions(lives(compactor.partitions.glue), compactor.partitions.database)
    return replace(
        compactor,
        athena=replace(compactor.athena, client=lives(compactor.athena.client)),
        generations=generations,
        partitions=partitions,
    )


def meanwhile(compactor: Compactor, other: Callable[[], object]) -> Compactor:
    """The compactor, with something else happening when its rows are written and not yet shown."""

    class Waits:
        def __init__(self, athena: Athena) -> None:
            self._athena = athena

        def run(self, *arguments: Any) -> Any:
            finished = self._athena.run(*arguments)
            other()
            return finished

    return replace(compactor, athena=Waits(compactor.athena))  # type: ignore[arg-type]


def test_of_two_at_once_the_slower_gives_way(lake: DeployedHub) -> None:
    write_versions(lake, "Patient", [Version("a")], run="run-1")
    compactor = compactor_of(lake)
    slow = meanwhile(compactor, lambda: compactor.compact("Patient"))

    assert slow.compact("Patient").superseded
    assert rows(lake, "fhir_latest") == rows(lake, "fhir_current")
    assert len(generations(lake)) == 1


def test_a_file_that_arrives_meanwhile_is_read_by_the_next(lake: DeployedHub) -> None:
    write_versions(lake, "Patient", [Version("a")], run="run-1", day="2026-11-18")
    compactor = compactor_of(lake)
    late = [Version("a", "2")]
    meanwhile(
        compactor, lambda: write_versions(lake, "Patient", late, run="run-2", day="2026-11-19")
    ).compact("Patient")

    assert rows(lake, "fhir_latest") != rows(lake, "fhir_current")
    assert compactor.compact("Patient").how != "up to date"
    assert rows(lake, "fhir_latest") == rows(lake, "fhir_current")


def test_what_a_running_query_may_read_is_kept_and_goes_later(lake: DeployedHub) -> None:
    now = datetime.now(UTC)
    write_versions(lake, "Patient", [Version("a")], run="run-1")
    for moment in (now, now + timedelta(minutes=1), now + timedelta(minutes=2)):
        at(lake, moment).compact("Patient", full=True)
    assert len(generations(lake)) == 3
    at(lake, now + LATER).compact("Patient", full=True)
    # The one in use, and the one that was until now.
    assert len(generations(lake)) == 2
    assert rows(lake, "fhir_latest") == rows(lake, "fhir_current")


def test_rows_that_were_written_elsewhere_do_not_replace_what_is_there(lake: DeployedHub) -> None:
    write_versions(lake, "Patient", [Version("a")], run="run-1", day="2026-11-18")
    compactor = compactor_of(lake)
    compactor.compact("Patient")
    write_versions(lake, "Patient", [Version("a", "2")], run="run-2", day="2026-11-19")

    class Elsewhere:
        def run(self, _sql: str, watch: Any) -> Any:
            return compactor.athena.run("select 1", watch)

    with pytest.raises(CommandError, match="has not written the rows of Patient"):
        replace(compactor, athena=Elsewhere()).compact("Patient")  # type: ignore[arg-type]
    assert [row[1] for row in rows(lake, "fhir_latest")] == ["1"]


def test_a_type_that_the_lake_does_not_have_is_named(lake: DeployedHub) -> None:
    write_versions(lake, "Patient", [Version("a")])
    with pytest.raises(CommandError, match="no files of Pateint") as error:
        compact(lake, Output(), types=["Pateint"])
    assert "Patient" in error.value.todo
