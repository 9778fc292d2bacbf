"""What the soak says of a lake in which something does not hold."""

from __future__ import annotations

import pytest

from local.soak.faults import lake_verdict
from local.soak.faults.lake_verdict import lake_problems
from local.testing.lake_rows import SILENT, exported_lab
from local.testing.range_lab import patient

VERSIONS = {("Patient", "p1"): ["1"], ("Patient", "p2"): ["1"]}


def problems(monkeypatch: pytest.MonkeyPatch, *texts: bytes, told: int = 2) -> list[str]:
    objects = exported_lab(b"\n".join(texts)).s3.objects
    monkeypatch.setattr(lake_verdict, "_objects", lambda: objects)
    return list(lake_problems(VERSIONS, {SILENT.run_id: told}))


def test_a_lake_in_which_all_holds_has_no_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, patient(1), patient(2)) == []


def test_a_version_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert problems(monkeypatch, patient(1), told=1) == ["version 1 of Patient/p2 is not in the lake"]


def test_a_version_that_never_was_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, patient(1), patient(2), patient(3), told=3)
    assert found == ["the lake has version 1 of Patient/p3, which never was"]


def test_a_version_that_a_run_has_twice_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, patient(1), patient(2), patient(2), told=3)
    assert found == ["the lake has Patient/p2/1 of run run-1 2 times"]


def test_a_run_that_says_other_rows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = problems(monkeypatch, patient(1), patient(2), told=1)
    assert found == ["run run-1 says 1 rows, and the lake has 2 of it"]
