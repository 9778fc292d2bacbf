"""FHIR resources in NDJSON files, line by line, with the exact text of each line.

FHIR Bulk Data Access: newline-delimited JSON. A byte order mark, CRLF, blank lines and a missing last newline
are tolerated. Nothing of a line's content is ever part of a reason for refusing it.
"""

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from local.cli.errors import CommandError

SUFFIXES = (".ndjson", ".ndjson.gz")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
TYPE_NAME = re.compile(r"[A-Z][A-Za-z]{1,63}")
NO_ID = "no id, which it is put under: 1 to 64 letters, digits, '-' and '.'"
RESOURCE_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True)
class Line:
    """One resource: where it stands, what it is, and its text as written."""

    file: Path
    number: int
    resource_type: str
    resource_id: str
    text: bytes

    @property
    def key(self) -> str:
        return f"{self.resource_type}/{self.resource_id}"


@dataclass(frozen=True)
class RefusedLine:
    """A line that is not loaded, and why; `number` is 0 when the file itself cannot be read."""

    file: Path
    number: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.number}: {self.reason}"


class _Keys(msgspec.Struct, rename="camel"):
    resource_type: str | None = None
    id: str | None = None


_DECODER = msgspec.json.Decoder(_Keys)


def ndjson_files(paths: Sequence[Path]) -> list[Path]:
    """The NDJSON files among the paths and directly in folders, in order of name.

    Raises CommandError for a path that does not exist or a folder without any.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_file():
            found.append(path)
            continue
        if not path.is_dir():
            raise CommandError(
                f"There is no file or folder {path}.", "Name a folder of *.ndjson or *.ndjson.gz files."
            )
        inside = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES) and file.is_file())
        if not inside:
            raise CommandError(
                f"The folder {path} holds no *.ndjson or *.ndjson.gz file.",
                "Name a folder that does; folders inside it are not searched.",
            )
        found.extend(inside)
    return found


def read_lines(file: Path) -> Iterator[Line | RefusedLine]:
    """Each resource of a file, or the reason why a line is not one; blank lines are nothing."""
    number = 0
    try:
        with gzip.open(file) if file.name.endswith(".gz") else file.open("rb") as stream:
            for number, raw in enumerate(stream, start=1):
                text = (raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw).strip()
                if text:
                    yield _parsed(file, number, text)
    except (OSError, EOFError, zlib.error) as error:
        reason = "the compressed file is damaged" if file.name.endswith(".gz") else "the file cannot be read"
        yield RefusedLine(file, number, f"{reason} after this line ({type(error).__name__})")


def _parsed(file: Path, number: int, text: bytes) -> Line | RefusedLine:
    def refused(reason: str) -> RefusedLine:
        return RefusedLine(file, number, reason)

    try:
        text.decode("utf-8")
        keys = _DECODER.decode(text)
    except UnicodeDecodeError:
        return refused("not UTF-8")
    except RecursionError:
        return refused("nested too deeply")
    except msgspec.ValidationError:
        return refused("not a JSON object with a resourceType and an id")
    except msgspec.DecodeError:
        return refused("not JSON")
    if keys.resource_type is None or not TYPE_NAME.fullmatch(keys.resource_type):
        return refused("no resourceType")
    if keys.id is None or not RESOURCE_ID.fullmatch(keys.id):
        return refused(NO_ID)
    return Line(file, number, keys.resource_type, keys.id, text)
