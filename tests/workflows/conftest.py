"""State machine files on the mended engine, with the handlers of the application."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from common import aws_clients
from local.stepfunctions.workbench import Pace, Workbench

STATE_MACHINES = Path(__file__).parents[2] / "statemachines"

# Waits take a thousandth of their time; a handler still has seconds for a timeout of a minute.
WORKFLOW_PACE = Pace(delays=0.001, timeouts=0.05)

OpenWorkbench = Callable[..., Workbench]


@pytest.fixture
def open_workbench(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenWorkbench]:
    """Opens a workbench on a file of `statemachines/`; it is left, and clients forgotten, after the test.

    Called with the file's name, its substitutions, the functions by name, and a pace if it matters.
    """
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    with ExitStack() as opened:

        def open_it(
            file_name: str,
            substitutions: Mapping[str, str],
            functions: Mapping[str, Callable[[Any, Any], Any]],
            pace: Pace = WORKFLOW_PACE,
        ) -> Workbench:
            aws_clients.forget_clients()
            bench = Workbench(STATE_MACHINES / file_name, substitutions, functions, pace=pace)
            return opened.enter_context(bench)

        yield open_it
    aws_clients.forget_clients()
