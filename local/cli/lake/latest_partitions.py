"""Partitions of the table fhir_latest in Glue: where each type's rows are, and what they cover.

Follows the AWS Glue API reference, «CreatePartition» and «BatchUpdatePartition»: a partition is replaced
whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from local.cli.errors import CommandError

TABLE = "fhir_latest"


@dataclass(frozen=True)
class Partition:
    """A partition: the location that queries read, and its parameters."""

    location: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class LatestPartitions:
    """The partitions of the table in one database."""

    glue: Any
    database: str

    def read(self, resource_type: str) -> Partition | None:
        """The type's partition, or None."""
        try:
            found = self.glue.get_partition(
                DatabaseName=self.database, TableName=TABLE, PartitionValues=[resource_type]
            )["Partition"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "EntityNotFoundException":
                raise
            return None
        return Partition(found["StorageDescriptor"]["Location"], found.get("Parameters") or {})

    def types(self) -> list[str]:
        """The types that have a partition."""
        pages = self.glue.get_paginator("get_partitions").paginate(
            DatabaseName=self.database, TableName=TABLE
        )
        return sorted(one["Values"][0] for page in pages for one in page["Partitions"])

    def put(self, resource_type: str, partition: Partition, *, replaces: bool) -> None:
        """Make this the type's partition, in one call: a query finds the one before or this one."""
        table = self.glue.get_table(DatabaseName=self.database, Name=TABLE)["Table"]
        told = {
            "Values": [resource_type],
            "StorageDescriptor": {**table["StorageDescriptor"], "Location": partition.location},
            "Parameters": dict(partition.parameters),
        }
        named = {"DatabaseName": self.database, "TableName": TABLE}
        if not replaces:
            try:
                self.glue.create_partition(**named, PartitionInput=told)
            except ClientError as error:
                if error.response["Error"]["Code"] != "AlreadyExistsException":
                    raise
            else:
                return
        entry = {"PartitionValueList": [resource_type], "PartitionInput": told}
        errors = self.glue.batch_update_partition(**named, Entries=[entry]).get("Errors")
        if errors:
            detail = errors[0].get("ErrorDetail", {})
            raise CommandError(f"Glue does not take the partition of {resource_type}: {detail}")
