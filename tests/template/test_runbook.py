"""The runbook has a word for every error that a run can fail with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import healthlake_export.errors  # noqa: F401  its classes are looked up by their base
from common.errors import HubError
from healthlake_export.failure_reason import EXPLAINED, failure_reason
from local.testing.state_machine_edges import retried_errors

ROW = re.compile(r"^\| (`[^|]+`) \| ", re.MULTILINE)


def errors_told(runbook: str) -> set[str]:
    """The errors in the first column of the table in *export-failed*; three dots stand for any ending."""
    section = runbook.split("\n### export-failed\n", 1)[1].split("\n### ", 1)[0]
    return {name for cell in ROW.findall(section) for name in re.findall(r"`([^`]+)`", cell)}


def untold(errors: set[str], told: set[str]) -> list[str]:
    """The errors that no row is about, by name or by how it begins."""
    beginnings = tuple(name.removesuffix("...") for name in told if name.endswith("..."))
    return sorted(name for name in errors - told if not name.startswith(beginnings))


def _own_errors(base: type[HubError] = HubError) -> Iterator[str]:
    for error in base.__subclasses__():
        if not error.routine and error.__module__.partition(".")[0] in ("common", "healthlake_export"):
            yield error.__name__
        yield from _own_errors(error)


@pytest.fixture
def errors(root: Path) -> set[str]:
    """Errors of the hub's own, those that are explained, and those that states are tried again for."""
    machine = json.loads((root / "statemachines" / "healthlake_export.asl.json").read_text(encoding="utf-8"))
    named = {one.error for one in retried_errors(machine)} | set(EXPLAINED)
    return {failure_reason({"Error": name}).error for name in named} | set(_own_errors())


@pytest.fixture
def told(root: Path) -> set[str]:
    return errors_told((root / "docs" / "runbook.md").read_text(encoding="utf-8"))


def test_every_error_that_a_run_can_fail_with_stands_in_the_runbook(errors: set[str], told: set[str]) -> None:
    assert untold(errors, told) == []


def test_an_error_without_a_row_is_found(errors: set[str], told: set[str]) -> None:
    assert untold(errors, told - {"Timeout", "SQS..."})[:1] == ["SQS.AmazonSQSException"]
    assert "Timeout" in untold(errors, told - {"Timeout"})
