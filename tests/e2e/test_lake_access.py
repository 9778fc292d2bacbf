"""Who has the stack's policies for the lake can ask it, or compact it, and reaches nothing else of the stack.

A user of the account has them attached, as docs/lake.md says. The row that is asked for is the test's own.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from lake.fhir_files import file_key
from lake.fhir_schema import fhir_schema
from lake.parquet_files import open_writer
from local.account.clients import client
from local.cli.lake.athena import Athena
from local.cli.lake.compaction import Compactor
from local.cli.lake.generations import Generations
from local.cli.lake.latest_partitions import LatestPartitions

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

KIND = "Basic"
TEXT = '{"resourceType":"Basic","id":"b"}'
READERS, COMPACTORS = "LakeReaderPolicyArn", "LakeCompactorPolicyArn"


@pytest.fixture(scope="module", autouse=True)
def row(hub: "Hub") -> Iterator[None]:
    """A row of a type that no other test exports."""
    now = datetime.now(UTC)
    values = {
        "id": "b",
        "version_id": "1",
        "last_updated": now,
        "patient_ids": [],
        "datastore_id": "d",
        "run_id": "by-hand",
        "resource": TEXT,
    }
    written = pa.BufferOutputStream()
    with open_writer(written, fhir_schema()) as writer:
        writer.write_table(pa.Table.from_pylist([values], schema=fhir_schema()))
    place = {"Bucket": hub.outputs["LakeBucketName"], "Key": file_key(KIND, f"{now:%Y-%m-%d}", "by-hand", 0)}
    s3 = client(hub.account, "s3")
    s3.put_object(**place, Body=written.getvalue().to_pybytes())
    yield
    s3.delete_object(**place)


class User:
    """A user of the account with some of the stack's policies."""

    def __init__(self, hub: "Hub", name: str, *policies: str) -> None:
        iam = client(hub.account, "iam")
        iam.create_user(UserName=name)
        for policy in policies:
            iam.attach_user_policy(UserName=name, PolicyArn=hub.outputs[policy])
        key = iam.create_access_key(UserName=name)["AccessKey"]
        self._account = replace(
            hub.account, access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]
        )
        self._outputs = hub.outputs

    def client(self, service: str) -> Any:
        return client(self._account, service)

    @property
    def athena(self) -> Athena:
        names = (self._outputs["LakeWorkGroupName"], self._outputs["LakeDatabaseName"])
        return Athena(self.client("athena"), *names)

    @property
    def compactor(self) -> Compactor:
        generations = Generations(self.client("s3"), self._outputs["LakeBucketName"])
        partitions = LatestPartitions(self.client("glue"), self._outputs["LakeDatabaseName"])
        return Compactor(self.athena, generations, partitions)

    def texts(self, table: str) -> list[str | None]:
        """The resources of the test's type in a table."""
        asked = self.athena.run(f"SELECT resource FROM {table} WHERE resource_type = '{KIND}'")
        _, rows = self.athena.columns_and_rows(asked.query_id)
        return [text for (text,) in rows]


@pytest.fixture(scope="module")
def reader(hub: "Hub") -> User:
    return User(hub, "lake-reader", READERS)


@pytest.fixture(scope="module")
def compactor(hub: "Hub") -> User:
    return User(hub, "lake-compactor", READERS, COMPACTORS)


def test_who_may_read_the_lake_asks_table_and_view(reader: User) -> None:
    assert (reader.texts("fhir"), reader.texts("fhir_current")) == ([TEXT], [TEXT])


def test_who_may_compact_the_lake_brings_the_table_of_latest_versions_up_to_date(compactor: User) -> None:
    compactor.compactor.compact(KIND)

    assert compactor.texts("fhir_latest") == [TEXT]


REFUSED: dict[str, Callable[["Hub", User], object]] = {
    "writing rows": lambda hub, user: user.client("s3").put_object(
        Bucket=hub.outputs["LakeBucketName"], Key="fhir/x", Body=b""
    ),
    "compacting": lambda hub, user: user.client("glue").create_partition(
        DatabaseName=hub.outputs["LakeDatabaseName"],
        TableName="fhir_latest",
        PartitionInput={"Values": ["X"]},
    ),
    "exported files": lambda hub, user: user.client("s3").list_objects_v2(
        Bucket=hub.outputs["HubBucketName"]
    ),
    "the run lock": lambda hub, user: user.client("dynamodb").scan(TableName=hub.outputs["HubTableName"]),
    "queries beside the workgroup": lambda _, user: user.client("athena").start_query_execution(
        QueryString="SELECT 1", WorkGroup="primary"
    ),
    "dropping a table": lambda hub, user: user.client("glue").delete_table(
        DatabaseName=hub.outputs["LakeDatabaseName"], Name="fhir"
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_who_may_read_the_lake_is_refused_everything_else(hub: "Hub", reader: User, what: str) -> None:
    with pytest.raises(ClientError, match="not authorized to perform"):
        REFUSED[what](hub, reader)
