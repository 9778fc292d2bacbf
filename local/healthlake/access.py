"""Who may do what: the IAM action and resource of each call, and whoever decides on them.

Service Authorization Reference, "Actions, resources, and condition keys for AWS HealthLake". The FHIR REST
calls have actions of their own, beside those of the JSON API.
"""

from __future__ import annotations

from typing import Protocol

from local.healthlake.http_types import Request


class Authorizer(Protocol):
    """Decides whether the caller of a request may act; refuses with AccessRefusedError."""

    def authenticate(self, request: Request) -> None:
        """Refuse a caller who cannot be identified."""

    def authorize(self, request: Request, action: str, resource_arn: str) -> None:
        """Refuse unless the caller may perform `action` (without its healthlake: prefix)."""

    def authorize_role(self, request: Request, role_arn: str, datastore_arn: str) -> None:
        """Refuse unless the caller may pass the role and HealthLake may assume it."""


def fhir_action(method: str, segments: list[str]) -> str:
    """The action of a FHIR REST call; `segments` is the path below r4/ ("" when unknown to HealthLake)."""
    match method, segments:
        case "GET", ["metadata"]:
            return "GetCapabilities"
        case "POST", [] | [""]:
            return "ProcessBundle"
        case "POST", [*_, "$export"]:
            return "StartFHIRExportJobWithPost"
        case "GET", [*_, "$export"]:
            return "StartFHIRExportJobWithGet"
        case "GET", ["export", _]:
            return "DescribeFHIRExportJobWithGet"
        case "DELETE", ["export", _]:
            return "CancelFHIRExportJobWithDelete"
        case "POST", [_, "_search"]:
            return "SearchWithPost"
        case _, [*_]:
            return _RESOURCE_ACTIONS.get((method, len(segments)), "")
    return ""


_RESOURCE_ACTIONS = {
    ("POST", 1): "CreateResource",
    ("GET", 1): "SearchWithGet",
    ("GET", 2): "ReadResource",
    ("PUT", 2): "UpdateResource",
    ("DELETE", 2): "DeleteResource",
    ("GET", 4): "VersionReadResource",
}
