"""Keys of the hub's table, in one place.

| item                    | pk                      | sk                        |
|-------------------------|-------------------------|---------------------------|
| state of a datastore    | `DATASTORE#<id>`        | `STATE`                   |
| a run (audit)           | `DATASTORE#<id>`        | `RUN#<startedAt>#<runId>` |
| ledger of a byte range  | `RUN#<runId>`           | `RANGE#<index, 6 digits>` |

The state item is lock, phase of the export, watermark and outbox in one, so that what must change
together changes in one conditional write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

Key = dict[str, "AttributeValueTypeDef"]


def state_key(datastore_id: str) -> Key:
    """Key of the item that holds lock, phase, watermark and outbox of a datastore."""
    return {"pk": {"S": f"DATASTORE#{datastore_id}"}, "sk": {"S": "STATE"}}


def run_key(datastore_id: str, started_at: str, run_id: str) -> Key:
    """Key of a run's audit item; a Query by `begins_with(sk, "RUN#")` lists runs by their start."""
    return {"pk": {"S": f"DATASTORE#{datastore_id}"}, "sk": {"S": f"RUN#{started_at}#{run_id}"}}


def ledger_key(run_id: str, index: int) -> Key:
    """Key of the ledger item of byte range `index` of a run."""
    return {"pk": {"S": f"RUN#{run_id}"}, "sk": {"S": f"RANGE#{index:06d}"}}


def ledger_partition(run_id: str) -> AttributeValueTypeDef:
    """Partition of a run's ledger."""
    return {"S": f"RUN#{run_id}"}
