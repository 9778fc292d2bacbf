"""The export workflow whole, as a fixture: see `local.testing.export_hub`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.testing.export_hub import DEFINITION, ExportHub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExportHub]:
    """A hub of its own for each test."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with ExportHub(monkeypatch) as hub:
        yield hub


@pytest.fixture
def impatient_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ExportHub]:
    """A hub whose state machine misses a heartbeat after seconds instead of an hour."""
    definition = tmp_path / DEFINITION.name
    text = DEFINITION.read_text()
    assert '"HeartbeatSeconds": 3600' in text
    definition.write_text(text.replace('"HeartbeatSeconds": 3600', '"HeartbeatSeconds": 4'))
    with ExportHub(monkeypatch, definition) as hub:
        yield hub


@pytest.fixture
def failing() -> Callable[..., Any]:
    """Makes a handler that raises the given errors, one a call, and then does what `then` does."""

    def make(*errors: BaseException, then: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        left = list(errors)

        def handler(event: Any, context: Any) -> Any:
            if left:
                raise left.pop(0)
            return then(event, context)

        return handler

    return make
