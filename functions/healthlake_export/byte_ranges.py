"""Byte ranges: how the exported objects are cut into pieces that one function call can process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ExportedObject:
    """An object that HealthLake wrote: its key, size in bytes, and ETag as S3 gives it, with quotes."""

    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `start` up to, not including, `end` of an exported object of `size` bytes.

    `index` numbers the ranges of a run, and names everything that processing the range writes.
    """

    index: int
    key: str
    size: int
    etag: str
    start: int
    end: int
    resource_type: str

    @classmethod
    def from_item(cls, item: Mapping[str, Any]) -> ByteRange:
        """The range in an item of the map."""
        return cls(
            index=item["index"],
            key=item["key"],
            size=item["size"],
            etag=item["etag"],
            start=item["start"],
            end=item["end"],
            resource_type=item["resourceType"],
        )

    def to_item(self) -> dict[str, str | int]:
        """The range as an item of the map."""
        return {
            "index": self.index,
            "key": self.key,
            "size": self.size,
            "etag": self.etag,
            "start": self.start,
            "end": self.end,
            "resourceType": self.resource_type,
        }


def count_ranges(objects: Iterable[ExportedObject], range_size: int) -> int:
    """How many ranges `cut_into_ranges` makes of the objects."""
    return sum(-(-exported.size // range_size) for exported in objects)


def cut_into_ranges(objects: Iterable[ExportedObject], range_size: int) -> Iterator[ByteRange]:
    """Ranges of at most `range_size` bytes that tile every object; an empty object has none.

    Objects are taken by key, so that planning the same export again gives every range its index again.
    """
    index = 0
    for exported in sorted(objects, key=lambda exported: exported.key):
        for start in range(0, exported.size, range_size):
            yield ByteRange(
                index=index,
                key=exported.key,
                size=exported.size,
                etag=exported.etag,
                start=start,
                end=min(start + range_size, exported.size),
                resource_type=resource_type_of(exported.key),
            )
            index += 1


def resource_type_of(key: str) -> str:
    """The resource type that an exported object holds: the name of the folder it lies in."""
    folders = key.split("/")[:-1]
    return folders[-1] if folders else ""
