"""Columns of the lake's files of FHIR resources.

`resource` is the text as it was exported, and the only exact one: FHIR's decimals keep their digits in no
parser's numbers. The columns before it are read out of it, to find and to order resources by.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import pyarrow as pa

from common.byte_spans import ByteSpans
from lake.instants import milliseconds

SCHEMA_VERSION = "1"
VERSION_KEY = "healthlake-hub.schema-version"
"""Key of the schema's version in a file's metadata."""

_PARTS = 4
"""Numbers in a view."""


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
    `patient_offsets[n]` up to `patient_offsets[n + 1]`, which are C ints; `resources` are UTF-8 of more than
    twelve bytes."""

    ids: Sequence[str]
    version_ids: Sequence[str | None]
    last_updated: Sequence[str | None]
    patients: Sequence[str]
    patient_offsets: array[int]
    resources: Sequence[bytes]

    def table(self, datastore_id: str, run_id: str) -> pa.Table:
        """The rows of one run as a table of the schema; of `viewed_schema` where texts are `ByteSpans`."""
        rows = len(self.ids)
        texts = _texts(self.resources)
        patients = pa.ListArray.from_arrays(
            pa.Array.from_buffers(pa.int32(), rows + 1, [None, pa.py_buffer(self.patient_offsets)]),
            pa.array(self.patients, pa.string()),
            type=fhir_schema().field("patient_ids").type,
        )
        columns = [
            pa.array(self.ids, pa.string()),
            pa.array(self.version_ids, pa.string()),
            milliseconds(self.last_updated),
            patients,
            pa.repeat(pa.scalar(datastore_id, pa.string()), rows),
            pa.repeat(pa.scalar(run_id, pa.string()), rows),
            texts,
        ]
        return pa.Table.from_arrays(
            columns, schema=viewed_schema() if texts.type == pa.string_view() else fhir_schema()
        )


@cache
def viewed_schema() -> pa.Schema:
    """The same with `resource` as views of bytes that lie elsewhere; files have the same columns."""
    schema = fhir_schema()
    at = schema.get_field_index("resource")
    return schema.set(at, schema.field(at).with_type(pa.string_view()))


def _texts(resources: Sequence[bytes]) -> pa.Array:
    """Text that is known to be UTF-8, joined once instead of looked at one by one, or not even copied."""
    if isinstance(resources, ByteSpans):
        return _views(resources)
    ends = pa.array(accumulate(map(len, resources), initial=0), pa.int32(), size=len(resources) + 1)
    _, offsets = ends.buffers()
    return pa.StringArray.from_buffers(len(resources), offsets, pa.py_buffer(b"".join(resources)))


def _views(texts: ByteSpans) -> pa.Array:
    """The texts as views of what they lie in, or of a copy if they are less than half of that: what they lie
    in is held as long as they are.

    Follows «Variable-size Binary View Layout» of the Arrow columnar format: length, first four bytes, number
    of the buffer and place in it, for texts of more than twelve bytes.
    """
    rows, lengths = len(texts), texts.lengths
    parts = array("i", bytes(4 * _PARTS * rows))
    parts[0::_PARTS] = array("i", lengths)
    parts[1::_PARTS] = array("i", b"".join([texts.content[begin : begin + 4] for begin in texts.begins]))
    parts[3::_PARTS] = array("i", texts.begins)
    buffers = [None, pa.py_buffer(parts), pa.py_buffer(texts.content)]
    views = pa.Array.from_buffers(pa.string_view(), rows, buffers)
    if 2 * sum(lengths) >= len(texts.content):
        return views
    return views.cast(pa.string()).cast(pa.string_view())
