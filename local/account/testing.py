"""A local account for tests: its own state directory and port, stopped when the block ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.account import lifecycle
from local.account.clients import forget_foreign_settings
from local.account.settings import PARTS, AccountSettings
from local.account.state_file import RunningAccount


@contextmanager
def running_account(
    state_dir: Path, *, auth: bool = True, parts: tuple[str, ...] = PARTS
) -> Iterator[RunningAccount]:
    """A started account on a free port; `parts` are those that are joined to ministack."""
    forget_foreign_settings()
    try:
        yield lifecycle.start(AccountSettings(port=0, state_dir=state_dir, auth=auth, parts=parts))
    finally:
        lifecycle.stop(state_dir)
