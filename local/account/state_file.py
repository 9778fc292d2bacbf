"""The file that says which account runs for a state directory, and the lock around starting and stopping."""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from local.account.settings import HOST

STATE_FILE = "account.json"
LOCK_FILE = "lock"


@dataclass(frozen=True)
class RunningAccount:
    """A started account: its process, where it answers, and the IAM user that deploys into it.

    `process_started` tells the process from a later one with the same id.
    """

    pid: int
    process_started: str
    port: int
    region: str
    auth: bool
    state_dir: str
    started_at: str
    access_key_id: str
    secret_access_key: str

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log_file(self) -> Path:
        return Path(self.state_dir) / "account.log"


def read(state_dir: Path) -> RunningAccount | None:
    """What the state file says, or None when there is none (or one of another version)."""
    try:
        return RunningAccount(**json.loads((state_dir / STATE_FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, TypeError):
        return None


def write(account: RunningAccount) -> None:
    """Write the state file at once or not at all; it holds a secret, so only its owner can read it."""
    write_json(Path(account.state_dir) / STATE_FILE, asdict(account))


def remove(state_dir: Path) -> None:
    (state_dir / STATE_FILE).unlink(missing_ok=True)


def write_json(path: Path, document: Any) -> None:
    """Replace the file with the document: readers see the old text or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class Locked(RuntimeError):
    """Another command holds the lock."""


@contextmanager
def lock(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock file until the end of the block; it is released with the process, however that ends.

    With `wait` false, raises Locked when another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Locked(str(path)) from None
        yield
