"""The entry of an erased patient in the hub's table, which runs honour from the moment it is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from healthlake_export.table_keys import ERASED_PATIENT, erasure_key, erasures_partition


@dataclass(frozen=True)
class ErasureEntry:
    """The entry of one patient of one datastore."""

    dynamodb: Any
    table: str
    datastore_id: str
    patient_id: str

    def write(self, now: str, started_by: str) -> None:
        """Write the entry, or leave the one that is there as it was."""
        self._set({"erasedAt": now, "startedBy": started_by}, keep=True)

    def verified(self, now: str) -> None:
        """Note that nothing of the patient was found any more."""
        self._set({"verifiedAt": now}, keep=False)

    def _set(self, facts: Mapping[str, str], *, keep: bool) -> None:
        value = "if_not_exists({0}, :{0})" if keep else ":{0}"
        self.dynamodb.update_item(
            TableName=self.table,
            Key=erasure_key(self.datastore_id, self.patient_id),
            UpdateExpression="SET " + ", ".join(f"{name} = {value.format(name)}" for name in facts),
            ExpressionAttributeValues={f":{name}": {"S": text} for name, text in facts.items()},
        )


def erased_since(dynamodb: Any, table: str, datastore_id: str, since: str) -> int:
    """How many patients were erased from what was there at `since`: those whose erasure was verified later,
    or not yet."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :erased AND begins_with(sk, :patient)",
        FilterExpression="attribute_not_exists(verifiedAt) OR verifiedAt >= :since",
        ExpressionAttributeValues={
            ":erased": erasures_partition(datastore_id),
            ":patient": {"S": ERASED_PATIENT},
            ":since": {"S": since},
        },
        Select="COUNT",
        ConsistentRead=True,
    )
    return sum(int(page["Count"]) for page in pages)
