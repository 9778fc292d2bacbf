"""Deployment archives and layers, unpacked once, with their Python byte code.

ministack unpacks a function's archive and its layers for every process that it starts, and without byte code
among them each process compiles every module again: seconds of processor time, and a copy of a hundred
megabytes where a layer is large. Here an archive is unpacked once, in one of the account's temporary folders.
What ministack is handed instead is a reference, an archive of one entry that names the folder; to unpack that
is to link to what lies there, which no function may write to, as on AWS. The byte code is marked as never to
be checked against its source's date, and the archive that was deployed stays as it is.
"""

import compileall
import hashlib
import io
import tempfile
import threading
import zipfile
from pathlib import Path
from py_compile import PycInvalidationMode
from types import SimpleNamespace
from typing import Any

_ENTRY = ".unpacked-in"


class UnpackedArchives:
    """The archives that a process has unpacked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_content: dict[str, bytes] = {}
        # archives of a hundred megabytes are not to be hashed at every start of a process: they are known by
        # their identities too, and kept so that these stay theirs
        self._by_identity: dict[int, tuple[bytes, bytes]] = {}

    def reference(self, archive: bytes) -> bytes:
        """An archive that refers to what is in this one; what cannot be compiled is left to fail on import.

        Raises zipfile.BadZipFile for what is no archive.
        """
        with self._lock:
            seen = self._by_identity.get(id(archive))
            if seen is None:
                key = hashlib.sha256(archive).hexdigest()
                if key not in self._by_content:
                    self._by_content[key] = _reference_to(_unpacked(archive))
                seen = self._by_identity[id(archive)] = (archive, self._by_content[key])
            return seen[1]


ARCHIVES = UnpackedArchives()
"""Those of the account that this process is."""


class LinkingZipFile(zipfile.ZipFile):
    """An archive that links to what it refers to, if it is a reference."""

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        """Unpack the archive, or link to each of the entries that it refers to."""
        if self.namelist() != [_ENTRY]:
            super().extractall(path, members, pwd)
            return
        for entry in Path(self.read(_ENTRY).decode()).iterdir():
            (Path(path) / entry.name).symlink_to(entry)


linking = SimpleNamespace(
    ZipFile=LinkingZipFile, BadZipFile=zipfile.BadZipFile, LargeFileError=zipfile.LargeZipFile
)
"""What ministack's runtime uses of the module zipfile, with archives that link."""


def _unpacked(archive: bytes) -> Path:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        folder = Path(tempfile.mkdtemp(prefix="unpacked-"))
        source.extractall(folder)
    compileall.compile_dir(
        folder, quiet=2, stripdir=folder, maxlevels=50, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
    )
    return folder


def _reference_to(folder: Path) -> bytes:
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as written:
        written.writestr(_ENTRY, str(folder))
    return result.getvalue()
