"""Requests and responses as the local HealthLake sees them, whatever server they came through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs

import msgspec

FHIR_JSON = "application/fhir+json"
AMZ_JSON = "application/x-amz-json-1.0"

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Request:
    """One HTTP request: `path` is decoded, `raw_path` as it arrived, header names are lower case."""

    method: str
    path: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> Mapping[str, Sequence[str]]:
        """Query parameters, blank ones included."""
        return parse_qs(self.raw_query, keep_blank_values=True)


@dataclass(frozen=True)
class Response:
    """Status, headers and body of an answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


def json_response(status: int, document: Any, **headers: str) -> Response:
    """An application/json answer."""
    return Response(status, msgspec.json.encode(document), {"content-type": "application/json", **headers})


def fhir_response(status: int, body: bytes, headers: Mapping[str, str] = _NO_HEADERS) -> Response:
    """An application/fhir+json answer with `body` as it is."""
    return Response(status, body, {"content-type": FHIR_JSON, **headers})


def outcome_document(severity: str, code: str, diagnostics: str) -> dict[str, Any]:
    """A FHIR OperationOutcome with one issue."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": diagnostics}],
    }
