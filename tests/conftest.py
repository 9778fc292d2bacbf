"""How tests are shared out between processes, and that nothing they start outlives them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from local.account import companion

ROOT = Path(__file__).parent
ON_ONE_STACK = "e2e"


def pytest_configure() -> None:
    """Let local accounts end with the process that runs the tests, however that one ends."""
    os.environ[companion.VARIABLE] = str(os.getpid())


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the group of each test, for `--dist loadgroup`."""
    for item in items:
        path = item.path.relative_to(ROOT)
        group = ON_ONE_STACK if path.parts[0] == ON_ONE_STACK else path.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))
