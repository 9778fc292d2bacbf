"""UNLOAD: the result of a SELECT as files of Parquet.

Follows the Athena user guide, «UNLOAD»: the location must hold nothing, and nothing is cleaned up after a
failure. Only what the hub uses is here: Parquet, without partitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from local.athena.errors import MalformedQuery, QueryFailed
from local.athena.sql_text import Word, closing, meaningful, split

_COMPRESSIONS = ("ZSTD", "SNAPPY", "GZIP", "NONE", "LZ4")
_DEFAULT_COMPRESSION = "GZIP"


@dataclass(frozen=True)
class Unload:
    """What to select, and where to put it."""

    select: str
    bucket: str
    prefix: str
    compression: str


def unload_of(sql: str) -> Unload | None:
    """The UNLOAD that the statement is, or None. Raises MalformedQuery or QueryFailed for one that is wrong
    or asks for what is not here."""
    found = meaningful(sql)
    if not found or not found[0].says("unload"):
        return None
    end = closing(found, 1)
    if not found[1].says("(") or end + 2 >= len(found) or not found[end + 1].says("to"):
        raise MalformedQuery("line 1:8: mismatched input. Expecting: '(' query ')' 'TO' location")
    location = found[end + 2].value
    if not location.startswith("s3://"):
        raise MalformedQuery(f"line 1:1: {location!r} is no location in Amazon S3")
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    properties = _properties(found[end + 3 :])
    if properties.get("format", "").upper() != "PARQUET" or set(properties) - {"format", "compression"}:
        raise QueryFailed(
            "NOT_SUPPORTED: the local Athena unloads Parquet, with format and compression alone"
        )
    compression = properties.get("compression", _DEFAULT_COMPRESSION).upper()
    if compression not in _COMPRESSIONS:
        raise QueryFailed(f"INVALID_PROPERTY: {compression} is not a compression of PARQUET")
    select = sql[found[2].begin : found[end].begin]
    return Unload(select, bucket, prefix if prefix.endswith("/") else f"{prefix}/", compression)


def _properties(found: list[Word]) -> Mapping[str, str]:
    """What stands behind WITH, by name in lower case."""
    if len(found) < 2 or not found[0].says("with") or not found[1].says("("):
        raise MalformedQuery("line 1:1: mismatched input. Expecting: 'WITH'")
    pairs = split(found[2 : closing(found, 1)])
    return {pair[0].text.lower(): pair[2].value for pair in pairs if len(pair) == 3 and pair[1].says("=")}
