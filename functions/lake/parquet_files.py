"""How the hub writes Parquet, for all who do."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from common.units import MEBIBYTE

ROW_GROUP_BYTES = 16 * MEBIBYTE
"""Text in a row group, before compression. Some 2 MB when it is compressed, and little enough to be held
beside what is being read."""

_PAGE_BYTES = MEBIBYTE // 4
"""Before compression. A reader that looks for one resource decompresses a page at least, and every file
that is being written holds some pages of each column."""

_BATCH_BYTES, _FEWEST_IN_BATCH, _MOST_IN_BATCH = MEBIBYTE // 2, 256, 1024
"""Text, and rows, that are written before a page's size is looked at: large batches cost less, and make
larger pages of long texts."""

# The system's allocator gives memory back; Arrow's own keeps what a large line once took.
pa.set_memory_pool(pa.system_memory_pool())


def open_writer(
    sink: Any, schema: pa.Schema, footers: list[pq.FileMetaData] | None = None, *, row_bytes: int = MEBIBYTE
) -> pq.ParquetWriter:
    """A writer into `sink`, a path or an open file, for rows with so much text as a rule; `footers` gets the
    file's when it is closed.

    Zstandard at its fastest level, for text of which most repeats. Statistics and page index on all columns
    but the large one, so that a reader skips pages by id, time and patient. No dictionary where every value
    is another.
    """
    keys = [name for name in _leaves(schema) if name != "resource"]
    writer = pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in ("version_id", "datastore_id", "run_id") if name in schema.names],
        write_statistics=keys,
        write_page_index=True,
        data_page_size=_PAGE_BYTES,
        write_batch_size=min(max(_BATCH_BYTES // max(row_bytes, 1), _FEWEST_IN_BATCH), _MOST_IN_BATCH),
        store_schema=False,
        metadata_collector=footers,
    )
    writer.add_key_value_metadata(schema.metadata or {})
    return writer


def _leaves(schema: pa.Schema) -> list[str]:
    """Parquet's names of the columns: the elements of a list stand below it."""
    return [f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name for field in schema]
