"""`query`: waiting, stopping, paging, errors in plain words, and what a query costs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.account.state_file import RunningAccount
from local.cli.errors import CommandError
from local.cli.lake.athena import Athena
from local.cli.lake.prices import bytes_text, dollars_text, query_dollars
from local.cli.lake.query_errors import not_run
from local.cli.main import main
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.query import only_reads, query, reads_every_type


@dataclass
class FakeAthena:
    """Athena's API for one query: the states it goes through, then pages of rows."""

    states: list[str] = field(default_factory=lambda: ["SUCCEEDED"])
    reason: str = ""
    pages: list[list[list[str | None]]] = field(default_factory=lambda: [[["n"], ["1"]]])
    columns: tuple[str, ...] = ()
    scanned: int = 0
    stopped: bool = False
    refusal: ClientError | None = None
    asked: dict[str, Any] = field(default_factory=dict)

    def start_query_execution(self, **asked: Any) -> Mapping[str, str]:
        if self.refusal is not None:
            raise self.refusal
        self.asked = asked
        return {"QueryExecutionId": "q"}

    def get_query_execution(self, **_: Any) -> Mapping[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        statistics = {"DataScannedInBytes": self.scanned, "TotalExecutionTimeInMillis": 1500}
        return {
            "QueryExecution": {
                "Status": {"State": state, "StateChangeReason": self.reason},
                "Statistics": statistics,
            }
        }

    def get_query_results(self, **asked: Any) -> Mapping[str, Any]:
        number = int(asked.get("NextToken", "0"))
        rows = [
            {"Data": [{} if v is None else {"VarCharValue": v} for v in row]} for row in self.pages[number]
        ]
        columns = [{"Name": name} for name in self.columns or self.pages[0][0]]
        more = {"NextToken": str(number + 1)} if number + 1 < len(self.pages) else {}
        return {"ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": columns}}, **more}

    def stop_query_execution(self, **_: Any) -> None:
        self.stopped = True


def athena(fake: FakeAthena, pauses: list[float] | None = None) -> Athena:
    kept = pauses if pauses is not None else []
    return Athena(fake, "group", "lake", pause=kept.append, clock=lambda: 0.0)


def hub(fake: FakeAthena) -> DeployedHub:
    account = RunningAccount(
        pid=1,
        process_started="",
        port=1,
        region="us-east-1",
        auth=True,
        state_dir="",
        started_at="",
        access_key_id="",
        secret_access_key="",
    )
    outputs = {"LakeWorkGroupName": "group", "LakeDatabaseName": "lake"}
    return DeployedHub(account, "hub", outputs, {"athena": fake})


def shown(fake: FakeAthena, sql: str = "select 1", **options: Any) -> str:
    stream = io.StringIO()
    assert query(hub(fake), Output(stream), sql, **options) == 0
    return stream.getvalue()


def test_a_statement_whose_rows_have_no_heading_loses_none() -> None:
    fake = FakeAthena(pages=[[["fhir"], ["fhir_current"]]], columns=("tab_name",))
    assert [line.strip() for line in shown(fake, "show tables").splitlines()[-4:-1]] == [
        "fhir",
        "fhir_current",
        "2 rows",
    ]


def test_it_waits_ever_longer_up_to_a_limit() -> None:
    pauses: list[float] = []
    athena(FakeAthena(["QUEUED", *["RUNNING"] * 30, "SUCCEEDED"]), pauses).run("select 1")
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.05, 3.0)


def test_it_asks_in_the_stacks_workgroup_and_database() -> None:
    fake = FakeAthena()
    athena(fake).run("select 1")
    assert fake.asked == {
        "QueryString": "select 1",
        "WorkGroup": "group",
        "QueryExecutionContext": {"Database": "lake"},
    }


def test_ctrl_c_stops_the_query() -> None:
    fake = FakeAthena(["RUNNING"])

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Athena(fake, "group", "lake", pause=interrupted).run("select 1")
    assert fake.stopped


def test_a_table_is_a_line_for_each_row_with_what_was_read_and_what_it_costs() -> None:
    pages: list[list[list[str | None]]] = [[["id", "v"], ["a", "1.10"]], [["b", None], ["c\n\x1b[2J", "x"]]]
    lines = shown(FakeAthena(pages=pages, scanned=3 * 2**20)).splitlines()
    assert lines[0].split() == ["id", "v"]
    assert lines[1].split() == ["a", "1.10"]
    assert lines[2].split() == ["b", "-"]
    assert lines[3].split() == ["c\\n\\x1b[2J", "x"]
    assert lines[4] == "3 rows"
    assert lines[5] == "3.0 MB scanned in 1.5 s; on AWS $0.00005"


def test_a_table_ends_where_asked_and_says_that_there_is_more() -> None:
    fake = FakeAthena(pages=[[["n"], ["1"], ["2"]], [["3"]]])
    assert "2 rows, and more" in shown(fake, most=2)
    assert "3 rows\n" in shown(FakeAthena(pages=fake.pages), most=3)


def test_csv_has_every_row_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    fake = FakeAthena(pages=[[["id", "text"], ["a", 'say "x", y']], [["b", None]]])
    shown(fake, as_csv=True)
    assert capsys.readouterr().out == 'id,text\na,"say ""x"", y"\nb,\n'


def test_json_is_one_document() -> None:
    stream = io.StringIO()
    query(hub(FakeAthena(scanned=5)), Output(stream, as_json=True), "select 1")
    document = json.loads(stream.getvalue())
    assert (document["columns"], document["rows"], document["scannedBytes"]) == (["n"], [["1"]], 5)


@pytest.mark.parametrize(
    ("state", "reason", "what", "todo"),
    [
        (
            "FAILED",
            "TABLE_NOT_FOUND: line 1:15: Table 'c.d.x' does not exist",
            "Table 'c.d.x' does not exist (line 1, column 15).",
            "fhir_current",
        ),
        (
            "FAILED",
            "COLUMN_NOT_FOUND: line 2:3: Column 'x' cannot be resolved",
            "Column 'x' cannot be resolved (line 2, column 3).",
            "json_extract_scalar",
        ),
        (
            "CANCELLED",
            "Bytes scanned limit was exceeded",
            "reads more than its workgroup allows",
            "QueryScanLimitGigabytes",
        ),
        (
            "FAILED",
            "CONSTRAINT_VIOLATION: For the injected projected partition column resource_type, the WHERE …",
            "the WHERE",
            "where resource_type",
        ),
        (
            "FAILED",
            "User: x is not authorized to perform: glue:GetTable on resource: y",
            "Not allowed: User: x",
            "LakeReaderPolicyArn",
        ),
        ("FAILED", "HIVE_BAD_DATA: a file is broken", "a file is broken", "HIVE_BAD_DATA"),
        ("CANCELLED", "Query was cancelled by user", "was stopped", ""),
        ("FAILED", "", "does not say why", ""),
    ],
)
def test_an_end_without_a_result_is_told_in_words(state: str, reason: str, what: str, todo: str) -> None:
    fake = FakeAthena([state], reason=reason)
    with pytest.raises(CommandError) as error:
        athena(fake).run("select 1")
    assert what in error.value.what
    assert todo in error.value.todo


def _refusals() -> Iterator[tuple[str, str, str]]:
    yield "InvalidRequestException", "line 1:1: mismatched input 'selec'", "does not read this as SQL"
    yield "InvalidRequestException", "WorkGroup is not found.", "does not take the query"
    yield "AccessDeniedException", "is not authorized to perform: athena:StartQueryExecution", "Not allowed"


@pytest.mark.parametrize(("code", "message", "what"), list(_refusals()))
def test_a_query_that_athena_does_not_take_is_told_in_words(code: str, message: str, what: str) -> None:
    refusal = ClientError({"Error": {"Code": code, "Message": message}}, "StartQueryExecution")
    with pytest.raises(CommandError, match=what):
        athena(FakeAthena(refusal=refusal)).run("selec 1")


def test_how_much_was_read_is_said_where_a_limit_ended_it() -> None:
    assert "1.0 GB" in not_run("CANCELLED", "Bytes scanned limit was exceeded", 2**30).what


def test_ten_megabytes_are_charged_at_least() -> None:
    assert query_dollars(0) == query_dollars(10 * 2**20) == pytest.approx(5 * 10 / 2**20)
    assert query_dollars(2**40) == 5.0


def test_amounts_are_shown_with_the_digits_that_matter() -> None:
    assert (bytes_text(812), bytes_text(1536), bytes_text(2**50)) == ("812 bytes", "1.5 KB", "1,024.0 TB")
    assert (dollars_text(0.0000476), dollars_text(12.5)) == ("$0.00005", "$12.50")


def test_a_query_of_every_type_is_noticed() -> None:
    assert reads_every_type("select count(*) from fhir_current")
    assert not reads_every_type("select * from fhir where resource_type = 'Patient'")
    assert not reads_every_type("select count(*) from fhir_latest")


def test_a_stack_without_a_lake_is_named() -> None:
    bare = DeployedHub(hub(FakeAthena()).account, "old", {}, {"athena": FakeAthena()})
    with pytest.raises(CommandError, match="The stack old has no output LakeWorkGroupName"):
        query(bare, Output(io.StringIO()), "select 1")


@pytest.mark.parametrize("sql", ["", " \n"])
def test_a_query_without_sql_is_refused_in_words(sql: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", sql]) == 1
    assert "There is no SQL to run." in capsys.readouterr().err


@pytest.mark.parametrize(
    "sql", ["drop table fhir", "-- a comment\nDELETE FROM fhir", "unload (select 1) to 's3://x'"]
)
def test_what_would_change_something_is_refused(sql: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["query", sql]) == 1
    assert "`query` only reads" in capsys.readouterr().err


@pytest.mark.parametrize(
    "sql", ["select 1", "/* all */ WITH a AS (SELECT 1) SELECT * FROM a", "(select 1)", "show tables"]
)
def test_what_reads_is_no_change(sql: str) -> None:
    assert only_reads(sql)
