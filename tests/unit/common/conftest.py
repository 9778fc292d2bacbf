"""What Lambda hands a handler, without tracing, and what the handler logs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _without_tracing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")


@pytest.fixture
def lambda_context() -> Any:
    return SimpleNamespace(
        function_name="function",
        memory_limit_in_mb=256,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:function",
        aws_request_id="00000000-0000-0000-0000-000000000001",
    )
