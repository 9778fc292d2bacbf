"""Columns of the lake's files of FHIR resources.

`resource` is the text as it was exported, and the only exact one: FHIR's decimals keep their digits in no
parser's numbers. The columns before it are read out of it, to find and to order resources by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any

import pyarrow as pa

from lake.instants import milliseconds

SCHEMA_VERSION = "1"
VERSION_KEY = "healthlake-hub.schema-version"
"""Key of the schema's version in a file's metadata."""

KEY_COLUMNS = ("id", "version_id", "last_updated", "patient_ids", "datastore_id", "run_id")


@cache
def fhir_schema() -> pa.Schema:
    """The columns, in order. `last_updated` is cut to the millisecond, and null where a resource has none or
    one that is no instant; `patient_ids` are the patients in whose compartment the resource is."""
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("version_id", pa.string()),
            pa.field("last_updated", pa.timestamp("ms", "UTC")),
            pa.field(
                "patient_ids", pa.list_(pa.field("element", pa.string(), nullable=False)), nullable=False
            ),
            pa.field("datastore_id", pa.string(), nullable=False),
            pa.field("run_id", pa.string(), nullable=False),
            pa.field("resource", pa.string(), nullable=False),
        ],
        metadata={VERSION_KEY: SCHEMA_VERSION},
    )


@dataclass(frozen=True)
class FhirRows:
    """Rows, column by column, all as long. The patients of row n are those in `patients` from
    `patient_offsets[n]` up to `patient_offsets[n + 1]`; `resources` are UTF-8."""

    ids: Sequence[str]
    version_ids: Sequence[str | None]
    last_updated: Sequence[str | None]
    patients: Sequence[str]
    patient_offsets: Any
    resources: Sequence[bytes]

    def table(self, datastore_id: str, run_id: str) -> pa.Table:
        """The rows of one run as a table of the schema."""
        rows = len(self.ids)
        patients = pa.ListArray.from_arrays(
            pa.array(self.patient_offsets, pa.int32()), pa.array(self.patients, pa.string())
        )
        columns = [
            pa.array(self.ids, pa.string()),
            pa.array(self.version_ids, pa.string()),
            milliseconds(self.last_updated),
            patients.cast(fhir_schema().field("patient_ids").type),
            pa.repeat(pa.scalar(datastore_id, pa.string()), rows),
            pa.repeat(pa.scalar(run_id, pa.string()), rows),
            _texts(self.resources),
        ]
        return pa.Table.from_arrays(columns, schema=fhir_schema())


def _texts(resources: Sequence[bytes]) -> pa.Array:
    """Text that is known to be UTF-8, joined once instead of looked at one by one."""
    ends = pa.array(accumulate(map(len, resources), initial=0), pa.int32(), size=len(resources) + 1)
    _, offsets = ends.buffers()
    return pa.StringArray.from_buffers(len(resources), offsets, pa.py_buffer(b"".join(resources)))
