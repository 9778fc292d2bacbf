"""Every dependency is pinned and hashed, and docs/dependencies.md says what each direct one is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ASKED_FOR = (
    "functions/requirements.in",
    "layers/parquet/requirements.in",
    "layers/tracing/requirements.in",
    "requirements/audit.in",
    "requirements/bench.in",
    "requirements/bootstrap.in",
    "requirements/checkov.in",
    "requirements/dev.in",
    "workers/requirements.in",
)


def asked_for(root: Path) -> set[str]:
    """Names of all packages that an .in file asks for."""
    lines = [line for name in ASKED_FOR for line in (root / name).read_text().splitlines()]
    return {line.partition("==")[0].partition("[")[0] for line in lines if re.match(r"\w", line)}


def described(root: Path) -> dict[str, list[str]]:
    """What the tables of docs/dependencies.md say of each package: what for, licence, maintained by."""
    rows = [
        line.strip("| ").split(" | ") for line in (root / "docs/dependencies.md").read_text().splitlines()
    ]
    return {row[0]: row[1:] for row in rows if len(row) == 4 and row[0] != "package"}


def test_every_file_of_requirements_is_known(root: Path) -> None:
    found = {
        path.relative_to(root).as_posix()
        for folder in ("functions", "layers", "requirements", "workers")
        for path in (root / folder).rglob("*.in")
    }
    assert found == set(ASKED_FOR)


def test_every_direct_dependency_is_described_and_no_other(root: Path) -> None:
    assert set(described(root)) == asked_for(root)


def test_every_description_says_what_for_which_licence_and_who(root: Path) -> None:
    assert [name for name, cells in described(root).items() if not all(cells)] == []


@pytest.mark.parametrize("name", ASKED_FOR)
def test_what_is_asked_for_is_pinned_and_locked_with_hashes(root: Path, name: str) -> None:
    asked = [line for line in (root / name).read_text().splitlines() if re.match(r"\w", line)]
    locked = (root / name).with_suffix(".txt").read_text()
    for line in asked:
        package, version = re.fullmatch(r"([\w.-]+)(?:\[.*\])?==([\w.]+)", line).groups()  # type: ignore[union-attr]
        assert re.search(rf"^{package}=={version}(?: ;.*)? \\$", locked, re.MULTILINE), line
    entries = re.findall(r"^\w.*$", locked, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^\w.*\\\n    --hash=sha256:", locked, re.MULTILINE))
