"""Input of benchmarks: files of NDJSON, made up or taken from a folder, kept for the next run."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from random import Random

from bench import fhir_lines

CACHE = Path(__file__).parents[1] / ".cache" / "bench-data"
KINDS = ("Observation", "Patient", "mixed")
SEED = 20261121
LONG_LINE_BYTES = 5_000_000
FEWEST_GIVEN = 100
"""Fewer lines of a kind are not taken: their copies would compress as no data does."""

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MARKED = re.compile(rb'(?<=[a-z])\d{1,4}(?=[" ])|(?<=-)\d\d(?=T)|(?<=[T:]\d\d:)\d\d')
_RESOURCE_TYPE = re.compile(rb'"resourceType"\s*:\s*"([A-Za-z]+)"')
_ID = re.compile(rb'"id"\s*:\s*"[^"]*"')
_META = re.compile(rb'"meta"\s*:\s*\{')


@dataclass(frozen=True)
class BenchInput:
    """A file of NDJSON of one kind. `made_up` says that no data was given, or too little of
    this kind."""

    kind: str
    path: Path
    made_up: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


@dataclass(frozen=True)
class BenchData:
    """Makes inputs in the folder `cache`, out of the .ndjson and .ndjson.gz files in `given` if that is a
    folder; Synthea's bulk exports, for example."""

    given: Path | None = None
    cache: Path = CACHE

    def input(self, kind: str, size: int, *, long_line: bool = False) -> BenchInput:
        """An input of at least `size` bytes and less than one line more, or the one made before. With a
        `long_line` there is one of `LONG_LINE_BYTES` in its middle."""
        lines = self._given_lines(kind)
        source = self._fingerprint() if lines else hashlib.sha256(inspect.getsource(fhir_lines).encode())
        source.update(f"{kind} {size} {long_line} {SEED}".encode())
        path = self.cache / f"{kind.lower()}-{size}-{source.hexdigest()[:12]}.ndjson"
        if not path.exists():
            endless = varied(lines, SEED) if lines else made_up(kind)
            _write(path, endless, size, long_line_at=size // 2 if long_line else None)
        return BenchInput(kind, path, made_up=not lines)

    def _files(self) -> list[Path]:
        if self.given is None:
            return []
        return sorted(path for end in ("ndjson", "ndjson.gz") for path in self.given.rglob(f"*.{end}"))

    def _fingerprint(self) -> hashlib._Hash:
        found = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in self._files()]
        return hashlib.sha256(f"{found} {inspect.getsource(varied)}".encode())

    def _given_lines(self, kind: str) -> list[bytes]:
        """The lines that were given of a kind, if they are enough; all of them are mixed."""
        lines = [line for path in self._files() for line in _lines_of(path)]
        if kind != "mixed":
            lines = [line for line in lines if _type_of(line) == kind]
        return lines if len(lines) >= FEWEST_GIVEN else []


def made_up(kind: str) -> Iterator[bytes]:
    """Endless lines of a kind, each with its newline, the same every time."""
    lines = fhir_lines.FhirLines(SEED)
    if kind == "Observation":
        return lines.observations()
    return lines.patients() if kind == "Patient" else lines.mixed()


def varied(lines: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Endless lines like those given, in random order, each as a server exports it: with a version and the
    instant it was written. Every round changes all ids alike and numbers in names and times at random, for
    copies would compress as no data does."""
    random = Random(seed)  # noqa: S311 - data, and no secret
    stamped = count()
    for number in count():
        for line in random.sample(lines, len(lines)):
            yield _stamp(_vary(line, number, random), next(stamped), random) + b"\n"


def _vary(line: bytes, number: int, random: Random) -> bytes:
    if not number:
        return line

    def other_id(found: re.Match[bytes]) -> bytes:
        digits = hashlib.md5(found[0] + b"%d" % number, usedforsecurity=False).hexdigest()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()

    def other_number(_found: re.Match[bytes]) -> bytes:
        return b"%02d" % random.randint(1, 28)

    return _MARKED.sub(other_number, _UUID.sub(other_id, line))


def _stamp(line: bytes, number: int, random: Random) -> bytes:
    """The line with `meta.versionId` and `meta.lastUpdated`, unless it has them."""
    if b'"lastUpdated"' in line:
        return line
    version = max(1, random.randint(-8, 6))
    day, second, millisecond = number // 40_000 % 20 + 1, random.randrange(3600), random.randrange(1000)
    instant = f"2026-11-{day:02d}T{number % 24:02d}:{second // 60:02d}:{second % 60:02d}.{millisecond:03d}Z"
    stamp = f'"versionId":"{version}","lastUpdated":"{instant}"'.encode()
    meta = _META.search(line)
    if meta:
        return line[: meta.end()] + stamp + b"," + line[meta.end() :]
    id_end = next(_ID.finditer(line)).end()
    return line[:id_end] + b',"meta":{' + stamp + b"}" + line[id_end:]


def _lines_of(path: Path) -> list[bytes]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [line for line in content.split(b"\n") if _type_of(line)]


def _type_of(line: bytes) -> str | None:
    found = _RESOURCE_TYPE.search(line)
    return found[1].decode() if found else None


def _write(path: Path, lines: Iterator[bytes], size: int, long_line_at: int | None) -> None:
    """Write lines until there are `size` bytes; the file is there when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    written = 0
    with unfinished.open("wb") as file:
        while written < size:
            block = b"".join(islice(lines, 200))
            if long_line_at is not None and written >= long_line_at:
                block, long_line_at = long_line() + block, None
            block = _up_to(block, size - written)
            file.write(block)
            written += len(block)
    unfinished.rename(path)


def _up_to(block: bytes, size: int) -> bytes:
    """The lines of the block up to the one that makes it `size` bytes or more."""
    return block if len(block) <= size else block[: block.index(b"\n", size - 1) + 1]


def long_line() -> bytes:
    """A resource as large as one with a scanned document is."""
    head = (
        b'{"resourceType":"DocumentReference","id":"long","meta":{"versionId":"1","lastUpdated":'
        b'"2026-11-20T10:00:00.000Z"},"status":"current","content":[{"attachment":{"data":"'
    )
    end = b'"}}]}\n'
    length = LONG_LINE_BYTES - len(head) - len(end)
    digits = Random(SEED).randbytes(length // 2 + 1).hex().encode()  # noqa: S311 - data, and no secret
    return head + digits[:length] + end
