"""What Athena is told of the lake: tables that fit the files, a workgroup with a limit, who may read.

Followed: "Supported types for partition projection", "Manage query result settings", "Configure access to
databases and tables in the AWS Glue Data Catalog" (Amazon Athena User Guide).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from healthlake_export.fhir_r4 import RESOURCE_TYPES
from lake.fhir_files import export_date, file_key
from lake.fhir_schema import fhir_schema
from local.testing.template_reader import Expanded, Statement, statements, text

KEYS = ["resource_type", "export_date"]
PARQUET = "org.apache.hadoop.hive.ql.io.parquet"
OPEN_TO_READERS = {
    "athena": {"${LakeWorkGroup}"},
    "glue": {"catalog", "database/default", "database/${LakeDatabase}", "table/${LakeDatabase}/*"},
}


def hive_type(kind: pa.DataType) -> str:
    """Hive's name of an Arrow type; only those that the lake has."""
    if pa.types.is_list(kind):
        return f"array<{hive_type(kind.value_type)}>"
    return {"string": "string", "timestamp[ms, tz=UTC]": "timestamp"}[str(kind)]


def columns(listed: list[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Name and Hive type of columns."""
    return [(one["Name"], one["Type"]) for one in listed]


FILE_COLUMNS = [(field.name, hive_type(field.type)) for field in fhir_schema()]


@pytest.fixture
def table(expanded: Expanded) -> Mapping[str, Any]:
    """The table of all versions."""
    found: Mapping[str, Any] = expanded.properties("FhirTable")["TableInput"]
    return found


@pytest.fixture
def latest(expanded: Expanded) -> Mapping[str, Any]:
    """The table of the latest versions, which a command keeps."""
    found: Mapping[str, Any] = expanded.properties("FhirLatestTable")["TableInput"]
    return found


@pytest.fixture
def workgroup(expanded: Expanded) -> Mapping[str, Any]:
    """How queries run."""
    found: Mapping[str, Any] = expanded.properties("LakeWorkGroup")["WorkGroupConfiguration"]
    return found


@pytest.fixture
def reader(expanded: Expanded) -> list[Statement]:
    """What whoever queries may do."""
    return statements(expanded.properties("LakeReaderPolicy")["PolicyDocument"])


def test_the_table_has_the_columns_of_the_files(table: Mapping[str, Any]) -> None:
    assert columns(table["StorageDescriptor"]["Columns"]) == FILE_COLUMNS


def test_the_table_is_cut_by_the_keys_in_the_names_of_the_files(table: Mapping[str, Any]) -> None:
    assert columns(table["PartitionKeys"]) == [(key, "string") for key in KEYS]
    folders = file_key("Patient", "2026-11-20", "run", 0).split("/")[1:-1]
    assert [folder.partition("=")[0] for folder in folders] == KEYS


def test_a_file_is_where_the_table_looks_for_its_partition(table: Mapping[str, Any]) -> None:
    place = text(table["Parameters"]["storage.location.template"])
    for name, value in (("resource_type", "Patient"), ("export_date", "2026-11-20")):
        place = place.replace(f"${{!{name}}}", value)
    folder, _, _ = file_key("Patient", "2026-11-20", "run", 0).rpartition("/")
    assert place == f"s3://${{LakeBucket}}/{folder}/"


def test_every_type_of_resource_is_found_and_no_other(table: Mapping[str, Any]) -> None:
    assert table["Parameters"]["projection.resource_type.type"] == "enum"
    separator, listed = table["Parameters"]["projection.resource_type.values"]["Fn::Join"]
    assert separator == ","
    assert sorted(listed) == sorted(RESOURCE_TYPES)


def test_every_day_is_found_from_the_first_on(table: Mapping[str, Any], template: dict[str, Any]) -> None:
    parameters = table["Parameters"]
    assert parameters["projection.export_date.type"] == "date"
    assert parameters["projection.export_date.format"] == "yyyy-MM-dd"
    assert text(parameters["projection.export_date.range"]) == "${LakeFirstDay},NOW"
    interval = (
        parameters["projection.export_date.interval"],
        parameters["projection.export_date.interval.unit"],
    )
    assert interval == ("1", "DAYS")
    assert template["Parameters"]["LakeFirstDay"]["Default"] <= export_date("2026-11-21T00:00:00Z")


def test_projection_is_on_where_all_partitions_follow_from_names_and_off_where_they_are_moved(
    table: Mapping[str, Any], latest: Mapping[str, Any]
) -> None:
    assert table["Parameters"]["projection.enabled"] == "true"
    assert not any(name.startswith("projection.") for name in latest["Parameters"])
    assert columns(latest["PartitionKeys"]) == [("resource_type", "string")]


def test_the_latest_versions_have_the_columns_of_all_versions(latest: Mapping[str, Any]) -> None:
    expected = [*FILE_COLUMNS, ("export_date", "string")]
    assert columns(latest["StorageDescriptor"]["Columns"]) == expected


def test_both_tables_are_read_as_parquet(table: Mapping[str, Any], latest: Mapping[str, Any]) -> None:
    for one, folder in ((table, "fhir"), (latest, "current")):
        storage = one["StorageDescriptor"]
        assert one["TableType"] == "EXTERNAL_TABLE"
        assert one["Parameters"]["classification"] == "parquet"
        assert text(storage["Location"]) == f"s3://${{LakeBucket}}/{folder}/"
        assert storage["SerdeInfo"] == {"SerializationLibrary": f"{PARQUET}.serde.ParquetHiveSerDe"}
        assert storage["InputFormat"] == f"{PARQUET}.MapredParquetInputFormat"
        assert storage["OutputFormat"] == f"{PARQUET}.MapredParquetOutputFormat"


def test_names_are_those_that_athena_keeps_as_they_are(expanded: Expanded) -> None:
    """It folds names to small letters, and a hyphen would have to be quoted everywhere."""
    tables = expanded.of_type("AWS::Glue::Table").values()
    names = [one["TableInput"]["Name"] for one in tables]
    keys = [name for one in tables for name, _ in columns(one["TableInput"]["StorageDescriptor"]["Columns"])]
    assert all(name == name.lower() and "-" not in name for name in (*names, *keys))
    joined = expanded.properties("LakeDatabase")["DatabaseInput"]["Name"]["Fn::Join"]
    assert joined == ["_", {"Fn::Split": ["-", {"Ref": "AWS::StackName"}]}]


def test_a_query_cannot_leave_the_limit_or_the_encryption_of_the_workgroup(
    workgroup: Mapping[str, Any],
) -> None:
    assert workgroup["EnforceWorkGroupConfiguration"] is True
    assert text(workgroup["BytesScannedCutoffPerQuery"]) == "${QueryScanLimitGigabytes}000000000"
    encryption = workgroup["ResultConfiguration"]["EncryptionConfiguration"]
    assert encryption["EncryptionOption"] == "SSE_KMS"
    assert text(encryption["KmsKey"]) == "${HubKey.Arn}"


def test_the_least_limit_is_one_that_athena_takes(template: dict[str, Any]) -> None:
    """10 MB at least («WorkGroupConfiguration», Amazon Athena API Reference)."""
    assert template["Parameters"]["QueryScanLimitGigabytes"]["MinValue"] * 10**9 >= 10_000_000


def test_queries_run_on_an_engine_that_is_named_and_are_counted(workgroup: Mapping[str, Any]) -> None:
    assert workgroup["EngineVersion"] == {"SelectedEngineVersion": "Athena engine version 3"}
    assert workgroup["PublishCloudWatchMetricsEnabled"] is True


def test_results_go_where_they_expire(expanded: Expanded, workgroup: Mapping[str, Any]) -> None:
    assert text(workgroup["ResultConfiguration"]["OutputLocation"]) == "s3://${QueryResultsBucket}/results/"
    rules = expanded.properties("QueryResultsBucket")["LifecycleConfiguration"]["Rules"]
    assert [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule] == ["results/"]


def test_the_workgroup_does_not_hold_the_stack_back_from_being_deleted(expanded: Expanded) -> None:
    assert expanded.properties("LakeWorkGroup")["RecursiveDeleteOption"] is True


def test_who_reads_the_lake_writes_nothing_but_results(reader: list[Statement]) -> None:
    writing = {
        (action, resource)
        for one in reader
        for action in one.actions
        for resource in one.resources
        if not action.partition(":")[2].startswith(("Get", "List", "BatchGet"))
    }
    assert {resource for action, resource in writing if action.startswith("s3:")} == {
        "${QueryResultsBucket.Arn}/results/*"
    }
    others = {action for action, _ in writing if not action.startswith("s3:")}
    assert others == {
        "athena:StartQueryExecution",
        "athena:StopQueryExecution",
        "kms:Decrypt",
        "kms:GenerateDataKey",
    }


def test_who_reads_the_lake_reaches_the_rows_and_nothing_else_of_the_hub(reader: list[Statement]) -> None:
    read = {resource for one in reader if "s3:GetObject" in one.actions for resource in one.resources}
    assert read == {
        "${LakeBucket.Arn}/fhir/*",
        "${LakeBucket.Arn}/current/*",
        "${LakeBucket.Arn}/records/*",
        "${QueryResultsBucket.Arn}/results/*",
    }


@pytest.mark.parametrize("service", sorted(OPEN_TO_READERS))
def test_who_reads_the_lake_is_let_into_its_workgroup_and_its_tables(
    reader: list[Statement], service: str
) -> None:
    prefix = f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:"
    named = {
        resource.removeprefix(prefix).removeprefix("workgroup/")
        for one in reader
        if any(action.startswith(f"{service}:") for action in one.actions)
        for resource in one.resources
    }
    assert named == OPEN_TO_READERS[service]


def test_who_compacts_writes_the_latest_versions_and_nothing_else(expanded: Expanded) -> None:
    document = expanded.properties("LakeCompactorPolicy")["PolicyDocument"]
    s3, glue = (one.resources for one in statements(document))
    assert s3 == ("${LakeBucket.Arn}/current/*",)
    prefix = "arn:${AWS::Partition}:glue:${AWS::Region}:${AWS::AccountId}:"
    named = [resource.removeprefix(prefix) for resource in glue]
    assert named == ["catalog", "database/${LakeDatabase}", "table/${LakeDatabase}/${FhirLatestTable}"]


def test_the_range_function_writes_where_the_table_looks(expanded: Expanded) -> None:
    written = expanded.resources_for("ProcessRangeFunctionRole", "s3:PutObject")
    assert {one for one in written if "LakeBucket" in one} == {"${LakeBucket.Arn}/fhir/*"}
