"""Patients that were erased from the hub: the entries that say so, and what names one of them.

An entry is an item of the hub's table, written by `python -m local erase` before it erases anything and kept
for good. Whatever a later run meets of an erased patient is withheld: neither published, nor written to the
lake, nor quarantined. Where nobody was erased the set is empty, and costs nothing to ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from healthlake_export.table_keys import ERASED_PATIENT, erasures_partition

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_OWNER = "erase:"
# The longest id (FHIR R4, «id»: 64 characters), what stands before it and what JSON may escape of it.
_LONGEST_MENTION = 512
_MENTION = re.compile(
    rb'(?:Patient/|urn:uuid:)([A-Za-z0-9.-]{1,64})(?![A-Za-z0-9-])|"([A-Za-z0-9.-]{1,64})(?=["\\]|\Z)'
)
_REFERENCES = tuple(
    re.compile(rb'"%b([A-Za-z0-9.-]{1,64})["/#|?]' % before) for before in (b"Patient/", b"urn:uuid:")
)
# So many are looked for one by one sooner than whatever looks like a reference.
_FEW = 20
_ESCAPED_ASCII = re.compile(rb"\\u00([2-7][0-9A-Fa-f])")


def lock_owner(erasure_id: str) -> str:
    """The owner of the run lock while an erasure works. It is no ARN: Step Functions knows no such execution,
    so that a run which meets it takes it for alive until the lock is stale."""
    return f"{_OWNER}{erasure_id}"


def is_erasure(owner: str | None) -> bool:
    """Whether the owner of a run lock is an erasure."""
    return owner is not None and owner.startswith(_OWNER)


def read(dynamodb: DynamoDBClient, table: str, datastore_id: str) -> frozenset[str]:
    """The ids of every patient of the datastore that was erased, by a consistent read."""
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :erased AND begins_with(sk, :patient)",
        ExpressionAttributeValues={
            ":erased": erasures_partition(datastore_id),
            ":patient": {"S": ERASED_PATIENT},
        },
        ProjectionExpression="sk",
        ConsistentRead=True,
    )
    items = (item for page in pages for item in page["Items"])
    return frozenset(item["sk"]["S"].removeprefix(ERASED_PATIENT) for item in items)


def names(patient_ids: Iterable[str], erased: frozenset[str]) -> bool:
    """Whether one of `patient_ids` was erased."""
    return not erased.isdisjoint(patient_ids)


def refers(text: bytes, erased: frozenset[str]) -> bool:
    """Whether the resource in `text` refers to an erased patient of the same server in any of its elements,
    those outside the patient's compartment included (Library.subjectReference is one)."""
    if not erased:
        return False
    if len(erased) <= _FEW and b"\\" not in text and not any(map(text.__contains__, _as_bytes(erased))):
        return False
    plain = _unescaped(text)
    found = (match[1].decode() for reference in _REFERENCES for match in reference.finditer(plain))
    return not erased.isdisjoint(found)


def mentions(text: bytes, erased: frozenset[str]) -> bool:
    """Whether `text` (any bytes) mentions an erased patient: as `Patient/<id>`, `urn:uuid:<id>` or
    the id alone between quotes. Escapes of JSON and the zeros of UTF-16 are looked through."""
    if not erased:
        return False
    plain = text.replace(b"\0", b"") if b"\0" in text else text
    for found in _MENTION.finditer(_unescaped(plain)):
        identity = (found[1] or found[2]).decode()
        # A sentence may end with the id.
        if identity in erased or identity.rstrip(".") in erased:
            return True
    return False


def mentions_in(chunks: Iterable[bytes], erased: frozenset[str]) -> bool:
    """As `mentions`, of a text too long to hold: no more than a chunk of it is."""
    if not erased:
        return False
    end = b""
    for chunk in chunks:
        held = end + chunk
        if mentions(held, erased):
            return True
        end = held[-_LONGEST_MENTION:]
    return False


@lru_cache(maxsize=2)
def _as_bytes(erased: frozenset[str]) -> tuple[bytes, ...]:
    return tuple(patient_id.encode() for patient_id in erased)


def _unescaped(text: bytes) -> bytes:
    """The text with those characters as they are which ids and references have and JSON may escape."""
    if b"\\" not in text:
        return text
    return _ESCAPED_ASCII.sub(lambda found: bytes([int(found[1], 16)]), text.replace(b"\\/", b"/"))
