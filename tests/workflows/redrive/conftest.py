"""The redrive workflow whole, as a fixture: see `local.testing.redrive_hub`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.testing.redrive_hub import RedriveHub


@pytest.fixture
def redrive(monkeypatch: pytest.MonkeyPatch) -> Iterator[RedriveHub]:
    """A hub of its own for each test."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with RedriveHub(monkeypatch) as hub:
        yield hub
