"""What a shared library says of itself: the processor it is for and the libraries it needs."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little endian: what Lambda's two architectures are
MACHINES = {62: "x86_64", 183: "arm64"}

PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")
LOAD, DYNAMIC = 1, 2
TAG = struct.Struct("<qQ")
NEEDED, NAMES = 1, 5


@dataclass(frozen=True)
class SharedLibrary:
    """The architecture as Lambda calls it and the names of the libraries that are loaded with it."""

    architecture: str
    needs: frozenset[str]


def shared_library(path: Path) -> SharedLibrary:
    """Read the headers of a library; raises ValueError for any other file and KeyError for other processors.

    The format is that of the System V ABI, chapters "Object Files" and "Program Loading and Dynamic Linking".
    """
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        raise ValueError(f"{path.name} is no 64-bit library")
    (machine,) = struct.unpack_from("<H", content, 18)
    segments = list(_segments(content))
    tags = [
        tag for kind, offset, _, size in segments if kind == DYNAMIC for tag in _tags(content, offset, size)
    ]
    (names,) = [_offset(segments, value) for tag, value in tags if tag == NAMES]
    needs = frozenset(_name(content, names + value) for tag, value in tags if tag == NEEDED)
    return SharedLibrary(MACHINES[machine], needs)


def _segments(content: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Kind, offset in the file, address and size in the file of each segment."""
    (start,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    for number in range(count):
        kind, _, offset, address, _, length, _, _ = PROGRAM_HEADER.unpack_from(content, start + number * size)
        yield kind, offset, address, length


def _tags(content: bytes, offset: int, size: int) -> Iterator[tuple[int, int]]:
    yield from TAG.iter_unpack(content[offset : offset + size])


def _offset(segments: list[tuple[int, int, int, int]], address: int) -> int:
    """Where in the file an address of the loaded library is."""
    return next(
        offset + address - start
        for kind, offset, start, length in segments
        if kind == LOAD and start <= address < start + length
    )


def _name(content: bytes, start: int) -> str:
    return content[start : content.index(b"\0", start)].decode()
