"""What Athena may do for whoever asks: look at tables, read their objects, write results.

Follows the Athena user guide, «Identity and access management in Athena» and «Configure access to databases
and tables in the AWS Glue Data Catalog»: a query has the rights of its caller, for Glue, S3 and KMS alike,
and a table takes the right on catalog, database and table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.account.caller import Caller as AccountCaller
from local.account.ministack_names import ministack
from local.athena.catalog import AccountCatalog
from local.athena.errors import QueryFailed

_KMS_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


@dataclass(frozen=True)
class Caller(AccountCaller):
    """Whoever asks, and the tables that are asked about."""

    def glue_arns(self, database: str, table: str) -> Iterable[str]:
        """Catalog, database and table."""
        base = f"arn:aws:glue:{self.region}:{self.account_id}"
        return f"{base}:catalog", f"{base}:database/{database}", f"{base}:table/{database}/{table}"


@dataclass(frozen=True)
class CatalogOfCaller(AccountCatalog):
    """Glue and S3 of the account, as far as the caller may use them."""

    caller: Caller

    def table(self, database: str, name: str) -> Mapping[str, Any]:
        self._require_glue("glue:GetTable", database, name)
        return super().table(database, name)

    def partitions(self, database: str, name: str) -> list[Mapping[str, Any]]:
        found = super().partitions(database, name)
        if found:
            self._require_glue("glue:GetPartitions", database, name)
        return found

    def keys(self, bucket: str, prefix: str) -> list[str]:
        self._require_s3("s3:ListBucket", f"arn:aws:s3:::{bucket}", f"s3://{bucket}/{prefix}")
        return super().keys(bucket, prefix)

    def read(self, bucket: str, key: str) -> bytes:
        self._require_s3("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}", f"s3://{bucket}/{key}")
        body = super().read(bucket, key)
        stored = ministack("ministack.services.s3")._buckets[bucket]["objects"].get(key) or {}
        self._require_key("kms:Decrypt", (stored.get("preserved_headers") or {}).get(_KMS_KEY))
        return body

    def write(self, bucket: str, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        told = self.caller.denied("s3:PutObject", f"arn:aws:s3:::{bucket}/{key}")
        if told:
            raise QueryFailed(f"Access denied when writing output to url: s3://{bucket}/{key} . {told}")
        self._require_key("kms:GenerateDataKey", headers.get(_KMS_KEY))
        super().write(bucket, key, body, headers)

    def _require_glue(self, action: str, database: str, table: str) -> None:
        for arn in self.caller.glue_arns(database, table):
            told = self.caller.denied(action, arn)
            if told:
                raise QueryFailed(f"FAILED: Insufficient permissions to execute the query. {told}")

    def _require_s3(self, action: str, arn: str, url: str) -> None:
        told = self.caller.denied(action, arn)
        if told:
            raise QueryFailed(f"PERMISSION_DENIED: Permission denied on S3 path: {url}. {told}")

    def _require_key(self, action: str, key_arn: str | None) -> None:
        told = self.caller.denied(action, key_arn) if key_arn else None
        if told:
            raise QueryFailed(f"PERMISSION_DENIED: {told}")
