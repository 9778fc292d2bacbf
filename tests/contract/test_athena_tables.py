"""Tables of the template's own lake, queried: partitions, columns, the view, what is scanned.

AWS documentation: Amazon Athena User Guide, «Use partition projection with Amazon Athena», «Supported types
for partition projection», «Work with views»; Amazon Athena pricing (bytes scanned).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.account.testing import running_account
from local.cli.errors import CommandError
from local.cli.lake.athena import Athena, Row
from local.cli.operations.hub import DeployedHub
from local.testing.lake_stack import Version, deploy_lake, objects, parquet, write_versions

PATIENTS = [
    Version("p1", "9", patients=("p1",), text='{"id":"p1","multipleBirthInteger":2}'),
    Version("p2", "1", patients=("p2",), text='{"id":"p2","name":[{"family":"Ünal"},{"family":"O\'Neil"}]}'),
]
LATER_PATIENTS = [Version("p1", "10", patients=("p1",), text='{"id":"p1","gender":"female"}')]
OBSERVATIONS = [
    Version("o1", patients=("p1",), text='{"id":"o1","valueQuantity":{"value":1.10,"unit":"mg"}}'),
    Version("o2", None, None, patients=("p1", "p2"), text='{"id":"o2","component":[{"x":1},{"x":2}]}'),
]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedHub]:
    with running_account(tmp_path_factory.mktemp("account"), parts=("athena",)) as account:
        hub = deploy_lake(account)
        write_versions(hub, "Patient", PATIENTS, run="run-1", day="2026-11-19")
        write_versions(hub, "Patient", LATER_PATIENTS, run="run-2", day="2026-11-20")
        write_versions(hub, "Observation", OBSERVATIONS, run="run-2", day="2026-11-20")
        yield hub


def ask(lake: DeployedHub, sql: str) -> list[Row]:
    athena = Athena.of(lake)
    return list(athena.columns_and_rows(athena.run(sql).query_id)[1])


def scanned(lake: DeployedHub, sql: str) -> int:
    return Athena.of(lake).run(sql).scanned_bytes


def test_partition_keys_come_from_where_a_file_lies(lake: DeployedHub) -> None:
    counted = ask(lake, "select resource_type, export_date, count(*) from fhir group by 1, 2 order by 1, 2")
    assert counted == [
        ["Observation", "2026-11-20", "2"],
        ["Patient", "2026-11-19", "2"],
        ["Patient", "2026-11-20", "1"],
    ]


def test_files_outside_the_projected_range_are_not_seen(lake: DeployedHub) -> None:
    s3, bucket = lake.client("s3"), lake.outputs["LakeBucketName"]
    strays = [
        "fhir/resource_type=Patient/export_date=1999-01-01/run-1-000000.parquet",
        "fhir/resource_type=Patient/export_date=9999-01-01/run-1-000000.parquet",
        "fhir/resource_type=Invented/export_date=2026-11-20/run-1-000000.parquet",
        "fhir/resource_type=Patient/export_date=2026-11-20/_hidden.parquet",
        "fhir/stray.parquet",
    ]
    for key in strays:
        s3.put_object(Bucket=bucket, Key=key, Body=parquet([Version("stray")]))
    try:
        assert ask(lake, "select count(*) from fhir where id = 'stray'") == [["0"]]
    finally:
        for key in strays:
            s3.delete_object(Bucket=bucket, Key=key)


def test_columns_have_the_types_that_the_table_says(lake: DeployedHub) -> None:
    rows = ask(
        lake, "select last_updated, patient_ids, version_id from fhir where id in ('o1', 'o2') order by id"
    )
    assert rows == [["2026-11-20 12:00:00.000", "[p1]", "1"], [None, "[p1, p2]", None]]


def test_the_view_has_the_latest_version_of_each_resource(lake: DeployedHub) -> None:
    rows = ask(
        lake, "select id, version_id, run_id from fhir_current where resource_type = 'Patient' order by 1"
    )
    assert rows == [["p1", "10", "run-2"], ["p2", "1", "run-1"]]


def test_a_table_may_be_named_with_its_database_and_its_catalog(lake: DeployedHub) -> None:
    database = lake.outputs["LakeDatabaseName"]
    names = (f"{database}.fhir", f'"{database}"."fhir"', f"awsdatacatalog.{database}.fhir f", "FHIR")
    assert [ask(lake, f"select count(*) from {name}") for name in names] == [[["5"]]] * 4


def test_a_view_that_its_table_has_outgrown_is_refused(lake: DeployedHub) -> None:
    glue, database = lake.client("glue"), lake.outputs["LakeDatabaseName"]
    stored = glue.get_table(DatabaseName=database, Name="fhir_current")["Table"]
    stale = stored["ViewOriginalText"].split(": ")[1].split(" ")[0]
    import base64

    text = base64.b64decode(stale).decode().replace('{"name": "export_date"', '{"name": "exported"')
    changed = f"/* Presto View: {base64.b64encode(text.encode()).decode()} */"
    glue.create_table(
        DatabaseName=database,
        TableInput={
            "Name": "stale",
            "TableType": "VIRTUAL_VIEW",
            "ViewOriginalText": changed,
            "Parameters": {"presto_view": "true"},
        },
    )
    try:
        with pytest.raises(CommandError, match="stale or in invalid state"):
            ask(lake, "select * from stale")
    finally:
        glue.delete_table(DatabaseName=database, Name="stale")


def test_only_the_columns_and_partitions_that_are_read_are_scanned(lake: DeployedHub) -> None:
    files = objects(lake, "fhir/")
    of_patients = sum(size for key, size in files.items() if "=Patient/" in key)

    assert scanned(lake, "select count(*) from fhir") == 0
    everything = scanned(lake, "select * from fhir")
    patients = scanned(lake, "select * from fhir where resource_type = 'Patient'")
    one_day = scanned(
        lake, "select * from fhir where resource_type = 'Patient' and export_date = '2026-11-19'"
    )
    ids = scanned(lake, "select id from fhir where resource_type = 'Patient'")
    assert 0 < ids < one_day < patients < everything < sum(files.values())
    assert patients < of_patients


def test_a_condition_on_the_view_reaches_the_files_below_it(lake: DeployedHub) -> None:
    everything = scanned(lake, "select id from fhir_current")
    assert 0 < scanned(lake, "select id from fhir_current where resource_type = 'Patient'") < everything


def test_a_table_that_is_read_twice_is_scanned_twice(lake: DeployedHub) -> None:
    once = scanned(lake, "select id from fhir")
    assert scanned(lake, "select a.id from fhir a join fhir b on a.id = b.id") == 2 * once


def test_registered_partitions_are_read_where_they_point(lake: DeployedHub) -> None:
    s3, glue = lake.client("s3"), lake.client("glue")
    bucket, database = lake.outputs["LakeBucketName"], lake.outputs["LakeDatabaseName"]
    table = glue.get_table(DatabaseName=database, Name="fhir_latest")["Table"]
    for generation in ("one", "two"):
        s3.put_object(Bucket=bucket, Key=f"current/{generation}/file", Body=parquet([Version(generation)]))

    def partition(generation: str) -> dict[str, object]:
        location = f"s3://{bucket}/current/{generation}/"
        return {
            "Values": ["Patient"],
            "StorageDescriptor": {**table["StorageDescriptor"], "Location": location},
        }

    assert ask(lake, "select count(*) from fhir_latest") == [["0"]]
    named = {"DatabaseName": database, "TableName": "fhir_latest"}
    created = glue.batch_create_partition(**named, PartitionInputList=[partition("one")])
    assert created["Errors"] == []
    assert ask(lake, "select id, resource_type from fhir_latest") == [["one", "Patient"]]
    entry = {"PartitionValueList": ["Patient"], "PartitionInput": partition("two")}
    assert glue.batch_update_partition(**named, Entries=[entry])["Errors"] == []
    assert ask(lake, "select id from fhir_latest") == [["two"]]
    glue.delete_partition(**named, PartitionValues=["Patient"])
