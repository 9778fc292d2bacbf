"""What the local HealthLake refuses, and the answers that say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from local.healthlake.http_types import AMZ_JSON, Response, fhir_response, outcome_document


class FhirError(Exception):
    """A refusal of the FHIR REST API: HTTP status, issue code of R4's IssueType, a reason without content.

    The reason never repeats values of the resource: they may identify a patient.
    """

    def __init__(self, status: int, code: str, diagnostics: str, aws_type: str = "") -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.diagnostics = diagnostics
        self.aws_type = aws_type

    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome that carries the reason."""
        return outcome_document("error", self.code, self.diagnostics)

    def response(self) -> Response:
        """The OperationOutcome as an HTTP answer."""
        headers = {"x-amzn-errortype": self.aws_type} if self.aws_type else {}
        return fhir_response(self.status, msgspec.json.encode(self.outcome()), headers)


class ApiError(Exception):
    """A refusal of the JSON API under the error's name in the service model."""

    def __init__(self, name: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.status = status

    def response(self) -> Response:
        """The error in the awsJson1.0 protocol."""
        return aws_error_response(self.status, self.name, self.message, {"content-type": AMZ_JSON})


def aws_error_response(status: int, name: str, message: str, headers: Mapping[str, str]) -> Response:
    """An error as AWS's front door words it, readable by botocore's JSON parsers."""
    body = msgspec.json.encode({"__type": name, "message": message, "Message": message})
    return Response(status, body, {**headers, "x-amzn-errortype": name})


def not_found(what: str) -> FhirError:
    """404 for a path, resource or job that does not exist."""
    return FhirError(404, "not-found", f"{what} was not found.", "ResourceNotFoundException")


def invalid(reason: str) -> FhirError:
    """400 for a request that HealthLake refuses as invalid."""
    return FhirError(400, "invalid", reason, "ValidationException")


class AccessRefusedError(Exception):
    """A request turned away at the door, with AWS's error name and message."""

    def __init__(self, name: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.status = status

    def response(self) -> Response:
        """The refusal in a form that botocore reads for either API."""
        return aws_error_response(self.status, self.name, self.message, {"content-type": AMZ_JSON})
