"""Fingerprints of what is built and deployed, so that neither is done again without need."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

IGNORED = ("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")


def fingerprint(root: Path, parts: Iterable[str], extra: Iterable[str] = ()) -> str:
    """A hash over names and contents of files and folders below root, and over the extra texts.

    A part that does not exist counts as absent, so that its appearance changes the hash.
    """
    digest = hashlib.sha256()
    for part in parts:
        for file in sorted(_files(root / part)):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    for text in extra:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for file in path.rglob("*"):
            if file.is_file() and not any(name in IGNORED for name in file.relative_to(path).parts):
                yield file
