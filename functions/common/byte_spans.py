"""Many parts of one bytes object, which are copied out of it only when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from operator import sub
from typing import overload


class ByteSpans(Sequence[bytes]):
    """The parts of `content` from each of `begins` up to, not including, the one of `ends` at its place."""

    def __init__(self, content: bytes, begins: Sequence[int], ends: Sequence[int]) -> None:
        self.content = content
        self.begins = begins
        self.ends = ends

    def __len__(self) -> int:
        return len(self.begins)

    @overload
    def __getitem__(self, index: int) -> bytes: ...

    @overload
    def __getitem__(self, index: slice) -> ByteSpans: ...

    def __getitem__(self, index: int | slice) -> bytes | ByteSpans:
        if isinstance(index, slice):
            return ByteSpans(self.content, self.begins[index], self.ends[index])
        return self.content[self.begins[index] : self.ends[index]]

    @cached_property
    def lengths(self) -> list[int]:
        """How long each part is."""
        return list(map(sub, self.ends, self.begins))
