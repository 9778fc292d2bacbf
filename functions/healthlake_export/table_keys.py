"""Keys of the hub's table, in one place.

| item                    | pk               | sk                        |
|-------------------------|------------------|---------------------------|
| state of a datastore    | `DATASTORE#<id>` | `STATE`                   |
| event in the outbox     | `OUTBOX#<id>`    | `<runId>`                 |
| audit item of a run     | `RUN#<runId>`    | `RUN`                     |
| ledger of a byte range  | `RUN#<runId>`    | `RANGE#<index, 6 digits>` |
| failure of a byte range | `RUN#<runId>`    | `FAILED#<index>`          |
| events granted to a run | `RUN#<runId>`    | `EVENTS`                  |
| ... to a byte range     | `RUN#<runId>`    | `EVENTS#<index>`          |
| patient that was erased | `ERASED#<id>`    | `PATIENT#<patient id>`    |

The state item is lock, phase of the export and watermark in one, so that what must change together
changes in one conditional write. `<id>` is the datastore's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

Key = dict[str, "AttributeValueTypeDef"]


def state_key(datastore_id: str) -> Key:
    """Key of the item that holds lock, phase and watermark of a datastore."""
    return {"pk": {"S": f"DATASTORE#{datastore_id}"}, "sk": {"S": "STATE"}}


def outbox_partition(datastore_id: str) -> AttributeValueTypeDef:
    """Partition of the events that wait to be published."""
    return {"S": f"OUTBOX#{datastore_id}"}


def outbox_key(datastore_id: str, run_id: str) -> Key:
    """Key of the event of a run that waits to be published."""
    return {"pk": outbox_partition(datastore_id), "sk": {"S": run_id}}


def run_key(run_id: str) -> Key:
    """Key of a run's audit item, beside the run's ledger."""
    return {"pk": {"S": f"RUN#{run_id}"}, "sk": {"S": "RUN"}}


def ledger_key(run_id: str, index: int) -> Key:
    """Key of the ledger item of byte range `index` of a run."""
    return {"pk": {"S": f"RUN#{run_id}"}, "sk": {"S": f"RANGE#{index:06d}"}}


def failure_key(run_id: str, index: int) -> Key:
    """Key of the item that says why byte range `index` of a run failed."""
    return {"pk": {"S": f"RUN#{run_id}"}, "sk": {"S": f"FAILED#{index:06d}"}}


def granted_events_key(run_id: str) -> Key:
    """Key of the item that counts the events granted to a run."""
    return {"pk": {"S": f"RUN#{run_id}"}, "sk": {"S": "EVENTS"}}


def event_grant_key(run_id: str, index: int) -> Key:
    """Key of the item with what was granted to byte range `index` of a run."""
    return {"pk": {"S": f"RUN#{run_id}"}, "sk": {"S": f"EVENTS#{index:06d}"}}


def ledger_partition(run_id: str) -> AttributeValueTypeDef:
    """Partition of a run's ledger."""
    return {"S": f"RUN#{run_id}"}


ERASED_PATIENT = "PATIENT#"
"""What the sort key of an erased patient begins with, before the patient's id."""


def erasures_partition(datastore_id: str) -> AttributeValueTypeDef:
    """Partition of the patients of a datastore that were erased."""
    return {"S": f"ERASED#{datastore_id}"}


def erasure_key(datastore_id: str, patient_id: str) -> Key:
    """Key of the item which says that a patient was erased."""
    return {"pk": erasures_partition(datastore_id), "sk": {"S": f"{ERASED_PATIENT}{patient_id}"}}
