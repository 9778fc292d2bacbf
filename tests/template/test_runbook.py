"""The runbook has a word for every error that an execution fails with, and every reason of a quarantine."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import dlq_redrive.errors  # noqa: F401  its classes are looked up by their base
import healthlake_export.errors  # noqa: F401  and so are these
from common.errors import HubError
from dlq_redrive.quarantine_reasons import Reason
from healthlake_export.failure_reason import EXPLAINED, failure_reason
from local.testing.state_machine_edges import retried_errors
from local.testing.state_machine_reader import states

ROW = re.compile(r"^\| (`[^|]+`) \| ", re.MULTILINE)


@dataclass(frozen=True)
class Errors:
    """The errors of a workflow, and those that a section of the runbook has a row for."""

    raised: set[str]
    told: set[str]


def section_of(runbook: str, alarm: str) -> str:
    return runbook.split(f"\n### {alarm}\n", 1)[1].split("\n### ", 1)[0]


def rows_told(runbook: str, alarm: str) -> list[str]:
    """The names in the first column of the table in a section, in the order of its rows; three dots stand for
    any ending."""
    cells = ROW.findall(section_of(runbook, alarm))
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def names_told(runbook: str, alarm: str) -> set[str]:
    return set(rows_told(runbook, alarm))


def untold(errors: set[str], told: set[str]) -> list[str]:
    """The errors that no row is about, by name or by how it begins."""
    beginnings = tuple(name.removesuffix("...") for name in told if name.endswith("..."))
    return sorted(name for name in errors - told if not name.startswith(beginnings))


def _own_errors(domain: str, base: type[HubError] = HubError) -> Iterator[str]:
    for error in base.__subclasses__():
        if not error.routine and error.__module__.partition(".")[0] in ("common", domain):
            yield error.__name__
        yield from _own_errors(domain, error)


def _named_by_states(machine: Mapping[str, Any]) -> Iterator[str]:
    """Errors that a state gives a failure, or that an execution fails with."""
    for placed in states(machine):
        for given in (
            placed.definition,
            *(placed.definition.get(one, {}) for one in ("Parameters", "Result")),
        ):
            if isinstance(given, Mapping) and "Error" in given:
                yield given["Error"]


@pytest.fixture
def runbook(root: Path) -> str:
    return (root / "docs" / "runbook.md").read_text(encoding="utf-8")


def _machine(root: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (root / "statemachines" / f"{name}.asl.json").read_text(encoding="utf-8")
    )
    return found


@pytest.fixture
def of_export(root: Path, runbook: str) -> Errors:
    """Errors of the hub's own, those that are explained, and those that states are tried again for."""
    named = {one.error for one in retried_errors(_machine(root, "healthlake_export"))} | set(EXPLAINED)
    own = set(_own_errors("healthlake_export"))
    raised = {failure_reason({"Error": name}).error for name in named} | own
    return Errors(raised, names_told(runbook, "export-failed"))


@pytest.fixture
def of_redrive(root: Path, runbook: str) -> Errors:
    """Errors of the hub's own, those that states name, and those that states are tried again for."""
    machine = _machine(root, "dlq_redrive")
    tried = {one.error for one in retried_errors(machine)}
    raised = tried | set(_named_by_states(machine)) | set(_own_errors("dlq_redrive"))
    return Errors(raised, names_told(runbook, "redrive-failed"))


def test_every_error_that_a_run_can_fail_with_stands_in_the_runbook(of_export: Errors) -> None:
    assert untold(of_export.raised, of_export.told) == []


def test_every_error_that_a_redrive_can_fail_with_stands_in_the_runbook(of_redrive: Errors) -> None:
    assert {"ReturnedToDeadLetterQueue", "MoveTaskFailed", "MessagesLeft", "QueueGone"} <= of_redrive.raised
    assert untold(of_redrive.raised, of_redrive.told) == []


def test_every_reason_of_a_quarantined_dead_letter_stands_in_the_runbook(runbook: str) -> None:
    assert names_told(runbook, "dead-letters-quarantined") == {reason.value for reason in Reason}


@pytest.mark.parametrize("alarm", ["export-failed", "redrive-failed", "dead-letters-quarantined"])
def test_what_stands_in_the_runbook_has_one_row(runbook: str, alarm: str) -> None:
    told = rows_told(runbook, alarm)
    assert [name for name in told if told.count(name) > 1] == []


def longest_retries(retry: Mapping[str, Any]) -> float:
    """The seconds for which a state is tried again at most, without what the tries themselves take."""
    waits = (retry["IntervalSeconds"] * retry["BackoffRate"] ** one for one in range(retry["MaxAttempts"]))
    return float(sum(min(wait, retry["MaxDelaySeconds"]) for wait in waits))


def test_the_runbook_says_how_long_a_refused_call_of_a_redrive_is_tried_again(
    root: Path, runbook: str
) -> None:
    words = {1: "a minute", 9: "nine"}
    minutes = {
        placed.name: math.ceil(longest_retries(retry) / 60 - 0.1)
        for placed in states(_machine(root, "dlq_redrive"))
        for retry in placed.definition.get("Retry", [])
        if "Lambda.TooManyRequestsException" in retry["ErrorEquals"]
    }

    plan, messages = (words[minutes[name]] for name in ("Plan Redrive", "Redrive Messages"))
    section = " ".join(section_of(runbook, "redrive-functions-throttled").split())
    assert f"for {plan} to plan and for {messages} to redrive messages, at most" in section


def test_an_error_without_a_row_is_found(of_export: Errors, of_redrive: Errors) -> None:
    assert untold(of_export.raised, of_export.told - {"Timeout", "SQS..."})[:1] == ["SQS.AmazonSQSException"]
    assert "Timeout" in untold(of_export.raised, of_export.told - {"Timeout"})
    assert untold(of_redrive.raised, of_redrive.told - {"TargetGone"}) == ["TargetGone"]
