"""Query executions of the local account: states, results, limits, stops, and where results go.

AWS documentation: Amazon Athena API reference, «StartQueryExecution», «GetQueryExecution», «GetQueryResults»,
«StopQueryExecution»; Amazon Athena User Guide, «Override client-side settings», «Use data usage controls»,
«UNLOAD».
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.account.testing import running_account
from local.cli.operations.hub import DeployedHub
from local.testing.lake_stack import Version, deploy_lake, objects, write_versions
from local.testing.patience import PATIENCE_SECONDS

SCAN_LIMIT = 100_000
LARGE = random.Random(7).randbytes(300_000).hex()
ENDLESS = "select count(*) from range(100000000) a cross join range(100000000) b where a.range * b.range = 7"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedHub]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("athena",)) as account:
        hub = deploy_lake(account, scan_limit_bytes=SCAN_LIMIT)
        write_versions(hub, "Patient", [Version(f"p{n}", text=f'{{"n":{n}.10}}') for n in range(5)])
        write_versions(hub, "Binary", [Version("b", text=LARGE)])
        yield hub


def start(lake: DeployedHub, sql: str, **more: Any) -> str:
    started = lake.client("athena").start_query_execution(
        QueryString=sql,
        QueryExecutionContext={"Database": lake.outputs["LakeDatabaseName"]},
        WorkGroup=lake.outputs["LakeWorkGroupName"],
        **more,
    )
    query_id: str = started["QueryExecutionId"]
    return query_id


def execution(lake: DeployedHub, query_id: str) -> Any:
    return lake.client("athena").get_query_execution(QueryExecutionId=query_id)["QueryExecution"]


def ended(lake: DeployedHub, sql: str, **more: Any) -> Any:
    """The execution once it is neither queued nor running."""
    query_id = start(lake, sql, **more)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = execution(lake, query_id)
        if found["Status"]["State"] not in ("QUEUED", "RUNNING"):
            return found
        time.sleep(0.02)
    raise AssertionError(f"{query_id} has not ended")


def reason(lake: DeployedHub, sql: str) -> str:
    """Why the query failed."""
    status = ended(lake, sql)["Status"]
    assert status["State"] == "FAILED", status
    assert status["AthenaError"]["ErrorMessage"] == status["StateChangeReason"]
    told: str = status["StateChangeReason"]
    return told


def test_a_query_that_succeeds_tells_its_statistics(lake: DeployedHub) -> None:
    found = ended(lake, "select id from fhir where resource_type = 'Patient'")
    assert found["Status"]["State"] == "SUCCEEDED"
    assert found["Status"]["CompletionDateTime"] >= found["Status"]["SubmissionDateTime"]
    assert found["Statistics"]["DataScannedInBytes"] > 0
    assert found["StatementType"] == "DML"


def test_the_first_page_begins_with_the_columns_names_and_counts_it(lake: DeployedHub) -> None:
    athena = lake.client("athena")
    query_id = ended(lake, "select id from fhir where resource_type = 'Patient' order by id")[
        "QueryExecutionId"
    ]

    pages = []
    more: dict[str, str] = {}
    while True:
        page = athena.get_query_results(QueryExecutionId=query_id, MaxResults=2, **more)
        pages.append([row["Data"][0]["VarCharValue"] for row in page["ResultSet"]["Rows"]])
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert pages == [["id", "p0"], ["p1", "p2"], ["p3", "p4"]]


def test_null_has_no_value_and_columns_have_names_and_types(lake: DeployedHub) -> None:
    query_id = ended(lake, "select null, 1 as One, count(*), 1.10 from fhir")["QueryExecutionId"]
    result = lake.client("athena").get_query_results(QueryExecutionId=query_id)["ResultSet"]
    columns = [(one["Name"], one["Type"]) for one in result["ResultSetMetadata"]["ColumnInfo"]]
    assert columns == [("_col0", "unknown"), ("one", "integer"), ("_col2", "bigint"), ("_col3", "decimal")]
    assert result["Rows"][1]["Data"] == [
        {},
        {"VarCharValue": "1"},
        {"VarCharValue": "6"},
        {"VarCharValue": "1.10"},
    ]


def test_results_go_where_the_workgroup_says_and_under_its_key(lake: DeployedHub) -> None:
    elsewhere = {"OutputLocation": f"s3://{lake.outputs['LakeBucketName']}/elsewhere/"}
    found = ended(lake, "select 'a' as x, null as y", ResultConfiguration=elsewhere)

    bucket = lake.outputs["QueryResultsBucketName"]
    key = f"results/{found['QueryExecutionId']}.csv"
    assert found["ResultConfiguration"]["OutputLocation"] == f"s3://{bucket}/{key}"
    assert found["ResultConfiguration"]["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS"
    stored = lake.client("s3").get_object(Bucket=bucket, Key=key)
    assert stored["Body"].read() == b'"x","y"\n"a",\n'
    assert stored["ServerSideEncryption"] == "aws:kms"
    assert stored["SSEKMSKeyId"]
    assert objects(lake, "elsewhere/") == {}


def test_a_query_past_the_scan_limit_is_cancelled_and_read_nothing_out(lake: DeployedHub) -> None:
    found = ended(lake, "select resource from fhir where resource_type = 'Binary'")
    assert found["Status"]["State"] == "CANCELLED"
    assert found["Status"]["StateChangeReason"] == "Bytes scanned limit was exceeded"
    assert found["Statistics"]["DataScannedInBytes"] > SCAN_LIMIT
    assert ended(lake, "select id from fhir")["Status"]["State"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (
            "select * from nosuch",
            "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.lake.nosuch' does not exist",
        ),
        ("select * from other.fhir", "SCHEMA_NOT_FOUND: line 1:15: Schema 'other' does not exist"),
        ("select nosuch from fhir", "COLUMN_NOT_FOUND: line 1:8: Column 'nosuch' cannot be resolved"),
        ("select\n  nosuch(id) from fhir", "FUNCTION_NOT_FOUND: line 2:3: Function 'nosuch' not registered"),
        ("select cast(id as bigint) from fhir", "INVALID_CAST_ARGUMENT: "),
        ("select id + 1 from fhir", "TYPE_MISMATCH: "),
    ],
    ids=["table", "schema", "column", "function", "cast", "type"],
)
def test_a_query_that_cannot_be_run_fails_with_the_error_of_trino(
    lake: DeployedHub, sql: str, says: str
) -> None:
    assert reason(lake, sql).startswith(says)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("selec 1", "line 1:1: mismatched input 'selec'"),
        ("select 1 frm fhir", "line 1:14: mismatched input 'fhir'"),
        ("select 1; select 2", "Only one sql statement is allowed"),
        ("", "mismatched input '<EOF>'"),
    ],
)
def test_what_is_no_statement_is_refused_at_once(lake: DeployedHub, sql: str, says: str) -> None:
    with pytest.raises(ClientError) as refused:
        start(lake, sql or " ")
    assert refused.value.response["Error"]["Code"] == "InvalidRequestException"
    assert says in refused.value.response["Error"]["Message"]


def test_a_workgroup_that_is_not_there_is_refused(lake: DeployedHub) -> None:
    with pytest.raises(ClientError, match=r"WorkGroup is not found"):
        lake.client("athena").start_query_execution(QueryString="select 1", WorkGroup="nosuch")


def test_results_of_a_query_that_failed_cannot_be_had(lake: DeployedHub) -> None:
    query_id = ended(lake, "select * from nosuch")["QueryExecutionId"]
    with pytest.raises(ClientError, match=r"did not finish successfully. Final query state: FAILED"):
        lake.client("athena").get_query_results(QueryExecutionId=query_id)


def test_a_query_that_is_stopped_ends_as_cancelled_and_stays_so(lake: DeployedHub) -> None:
    athena = lake.client("athena")
    query_id = start(lake, ENDLESS)
    athena.stop_query_execution(QueryExecutionId=query_id)

    assert execution(lake, query_id)["Status"]["State"] == "CANCELLED"
    # The next one finds the engine free.
    assert ended(lake, "select 1")["Status"]["State"] == "SUCCEEDED"
    assert execution(lake, query_id)["Status"]["State"] == "CANCELLED"


def test_a_query_reads_nothing_of_the_machine(lake: DeployedHub) -> None:
    assert "etc/hosts" in reason(lake, "select * from read_text('/etc/hosts')")


def test_unload_writes_parquet_and_wants_an_empty_place(lake: DeployedHub) -> None:
    bucket = lake.outputs["LakeBucketName"]
    unload = (
        "UNLOAD (select id, last_updated, patient_ids, resource from fhir where resource_type = 'Patient') "
        f"TO 's3://{bucket}/unloaded/' WITH (format = 'PARQUET', compression = 'ZSTD')"
    )
    first = ended(lake, unload)
    assert first["Status"]["State"] == "SUCCEEDED"
    written = objects(lake, "unloaded/")
    assert len(written) == 1
    manifest = first["Statistics"]["DataManifestLocation"].removeprefix("s3://").split("/", 1)
    listed = lake.client("s3").get_object(Bucket=manifest[0], Key=manifest[1])["Body"].read().decode()
    assert listed.splitlines() == [f"s3://{bucket}/{key}" for key in written]
    assert reason(lake, unload).startswith("HIVE_PATH_ALREADY_EXISTS")


def test_unload_of_nothing_writes_nothing(lake: DeployedHub) -> None:
    bucket = lake.outputs["LakeBucketName"]
    found = ended(
        lake,
        "UNLOAD (select id from fhir where id = 'nobody') "
        f"TO 's3://{bucket}/empty/' WITH (format = 'PARQUET')",
    )
    assert found["Status"]["State"] == "SUCCEEDED"
    assert objects(lake, "empty/") == {}
