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


@dataclass(frozen=True)
class AccountProcess:
    """The process of an account, which may still be starting: enough to stop it.

    `process_started` tells the process from a later one with the same id.
    """

    pid: int
    process_started: str


def read(state_dir: Path) -> RunningAccount | None:
    """What the state file says, or None when there is none that says it all.

    An account that is still starting, or that another version has started, has only a process to be read.
    """
    try:
        return RunningAccount(**_document(state_dir))
    except TypeError:
        return None


def read_process(state_dir: Path) -> AccountProcess | None:
    """The process that the state file names, whatever else it says or lacks; None when it names none."""
    document = _document(state_dir)
    pid, started = document.get("pid"), document.get("process_started")
    return AccountProcess(pid, started) if isinstance(pid, int) and isinstance(started, str) else None


def _document(state_dir: Path) -> dict[str, Any]:
    try:
        document = json.loads((state_dir / STATE_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def write_process(state_dir: Path, process: AccountProcess) -> None:
    """Name the process of an account that is starting, so that it can be stopped whatever happens next."""
    write_json(state_dir / STATE_FILE, asdict(process))


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
