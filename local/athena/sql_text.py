"""SQL as a row of words: enough to find names in it and to put others in their place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WORD = re.compile(
    r"(?P<space>\s+|--[^\n]*|/\*.*?\*/)"
    r"|(?P<string>'(?:[^']|'')*')"
    r'|(?P<quoted>"(?:[^"]|"")*")'
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<mark>.)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Word:
    """A part of the text. `kind` is space (comments too), string, quoted, name, number or mark."""

    kind: str
    text: str
    begin: int

    @property
    def name(self) -> str | None:
        """The identifier in lower case, as Trino compares them; None for what is none."""
        if self.kind == "name":
            return self.text.lower()
        return self.text[1:-1].replace('""', '"').lower() if self.kind == "quoted" else None

    @property
    def value(self) -> str:
        """What a string says."""
        return self.text[1:-1].replace("''", "'")

    def says(self, text: str) -> bool:
        """Whether it is this keyword or mark."""
        return self.kind in ("name", "mark") and self.text.lower() == text


def words(sql: str) -> list[Word]:
    """The words of the text, which joined are the text."""
    return [Word(str(one.lastgroup), one[0], one.start()) for one in _WORD.finditer(sql)]


def meaningful(sql: str) -> list[Word]:
    """The words without spaces and comments, and without a semicolon at the end."""
    found = [word for word in words(sql) if word.kind != "space"]
    while found and found[-1].says(";"):
        found.pop()
    return found


def names(sql: str) -> set[str]:
    """Every identifier in the text, keywords included."""
    return {name for word in words(sql) if (name := word.name) is not None}


def place(sql: str, name: str) -> str:
    """Where the text first has the name, as Trino tells it: `line 1:8`."""
    begin = next((word.begin for word in words(sql) if word.name == name.lower()), 0)
    before = sql[:begin]
    return f"line {before.count(chr(10)) + 1}:{begin - (before.rfind(chr(10)) + 1) + 1}"


def closing(found: Sequence[Word], opening: int) -> int:
    """The index of the mark that closes the bracket at `opening`; the length where none does."""
    depth = 0
    for index in range(opening, len(found)):
        if found[index].says("("):
            depth += 1
        elif found[index].says(")"):
            depth -= 1
            if depth == 0:
                return index
    return len(found)


def split(found: Sequence[Word]) -> Iterator[list[Word]]:
    """The words between commas that no bracket encloses."""
    depth = 0
    part: list[Word] = []
    for word in found:
        depth += word.says("(") - word.says(")")
        if depth == 0 and word.says(","):
            yield part
            part = []
        else:
            part.append(word)
    if part:
        yield part
