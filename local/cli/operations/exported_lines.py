"""Lines of exported files, counted from their bytes by another way than the functions count them.

A second count by the same code would repeat its mistakes: this one knows no byte ranges, no offsets and no
line ends but the newline.
"""

from collections.abc import Iterable

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineCounter:
    """Counts the lines of one object that have more than white space in them; a byte order mark at the
    object's start is no text. `bytes` are those seen."""

    def __init__(self) -> None:
        self.bytes = 0
        self._lines = 0
        self._has_text = False
        self._beginning: bytes | None = b""

    def read(self, chunks: Iterable[bytes]) -> int:
        """Count the lines in all chunks of the object."""
        for chunk in chunks:
            self.bytes += len(chunk)
            self._take(chunk)
        if self._beginning is not None:
            self._count(self._beginning)
        return self._lines + self._has_text

    def _take(self, chunk: bytes) -> None:
        """The first bytes are held back until they tell whether a byte order mark begins the object."""
        if self._beginning is None:
            self._count(chunk)
            return
        self._beginning += chunk
        if len(self._beginning) >= len(_BYTE_ORDER_MARK):
            self._count(self._beginning.removeprefix(_BYTE_ORDER_MARK))
            self._beginning = None

    def _count(self, text: bytes) -> None:
        first, *others = text.split(b"\n")
        self._has_text = self._has_text or bool(first.strip())
        for part in others:
            self._lines += self._has_text
            self._has_text = bool(part.strip())
