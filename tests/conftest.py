"""How tests are shared out between processes: a file stays in one, and so does all that uses the deployed stack."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent
ON_ONE_STACK = "e2e"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Name the group of each test, for `--dist loadgroup`."""
    for item in items:
        path = item.path.relative_to(ROOT)
        group = ON_ONE_STACK if path.parts[0] == ON_ONE_STACK else path.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))
