"""Deployment archives with their Python byte code, so that a cold start need not compile.

Each worker unpacks the archive into a folder of its own. Without byte code in it, every cold start of every
worker compiles every module again, a second and more of processor time. The byte code is marked as never to
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

_compiled: dict[str, bytes] = {}
_compiling = threading.Lock()


def compiled(archive: bytes) -> bytes:
    """The archive with byte code beside each module; what cannot be compiled is left to fail on import."""
    key = hashlib.sha256(archive).hexdigest()
    with _compiling:
        if key not in _compiled:
            _compiled[key] = _with_byte_code(archive)
        return _compiled[key]


def _with_byte_code(archive: bytes) -> bytes:
    result = io.BytesIO(archive)
    with tempfile.TemporaryDirectory(prefix="byte-code-") as folder:
        root = Path(folder)
        with zipfile.ZipFile(io.BytesIO(archive)) as source:
            source.extractall(root)
            present = set(source.namelist())
        compileall.compile_dir(
            root, quiet=2, stripdir=root, maxlevels=50, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH
        )
        with zipfile.ZipFile(result, "a") as target:
            for file in sorted(root.rglob("__pycache__/*.pyc")):
                name = file.relative_to(root).as_posix()
                if name not in present:
                    target.write(file, name)
    return result.getvalue()
