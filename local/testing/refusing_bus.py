"""An event bus that refuses entries on request, as PutEvents does: entry by entry, with HTTP 200."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from botocore.client import BaseClient

Refusal = Callable[[Mapping[str, Any]], str | None]
"""The error code for an entry of PutEvents, or None for one that is taken."""


@contextmanager
def bus_refusing(refusal: Refusal, words: str = "no") -> Iterator[list[list[str | None]]]:
    """Answers PutEvents of every boto3 client while the context is open; entries without a code go on to
    the bus, the others are refused with these `words`. Gives a list that gets the codes of each call's
    entries."""
    make_call = BaseClient._make_api_call  # type: ignore[attr-defined]
    calls: list[list[str | None]] = []

    def call(client: Any, operation: str, request: dict[str, Any]) -> Any:
        if operation != "PutEvents":
            return make_call(client, operation, request)
        codes = [refusal(entry) for entry in request["Entries"]]
        calls.append(codes)
        taken = [entry for entry, code in zip(request["Entries"], codes, strict=True) if code is None]
        answers = iter(make_call(client, operation, {"Entries": taken})["Entries"] if taken else ())
        entries = [
            next(answers) if code is None else {"ErrorCode": code, "ErrorMessage": words} for code in codes
        ]
        return {"FailedEntryCount": len(entries) - len(taken), "Entries": entries}

    with patch.object(BaseClient, "_make_api_call", call):
        yield calls
