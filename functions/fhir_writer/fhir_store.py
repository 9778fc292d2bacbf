"""Versions of FHIR resources in HealthLake: read, written and deleted on condition of the version.

AWS HealthLake Developer Guide, «Reading a FHIR resource», «Updating a FHIR resource», «Deleting a FHIR
resource» and «Idempotency and Concurrency» (If-Match, If-None-Match, 412).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.healthlake_http import HealthLakeHttp, HttpAnswer, NoCredentials, Unreachable
from common.refusals import naming_the_action
from fhir_writer.errors import FhirWriteBusy, FhirWriteDenied, ResourceRefused
from fhir_writer.write_messages import ResourceName

_OK = frozenset({200, 201, 202, 204})
_NOT_FOUND = 404
_GONE = 410
_OTHER_VERSION = 412
_NOT_NOW = frozenset({408, 409, 423, 425, 429})
_GAVE_UP_WAITING = 504
_DENIED = frozenset({401, 403, _NOT_FOUND})

# Service Authorization Reference, «Actions, resources, and condition keys for AWS HealthLake».
_ACTIONS = {
    "GET": "healthlake:ReadResource",
    "PUT": "healthlake:UpdateResource",
    "DELETE": "healthlake:DeleteResource",
}


class OtherVersionError(Exception):
    """The resource has another version than the request was made for."""


@dataclass(frozen=True)
class Version:
    """What HealthLake has: `etag` None where there is no such resource; `deleted` where there was one."""

    etag: str | None
    deleted: bool = False
    content: bytes = b""


class FhirStore:
    """The resources of one datastore. Every method makes one request and raises `FhirWriteBusy` when it is
    worth another try, whether or not it arrived, `FhirWriteDenied` when no request would be answered, and
    `ResourceRefused` when this resource is not taken."""

    def __init__(self, http: HealthLakeHttp) -> None:
        self._http = http

    def read(self, resource: ResourceName) -> Version:
        """The current version."""
        answer = self._send("GET", resource)
        if answer.status in (_NOT_FOUND, _GONE):
            return Version(None, deleted=answer.status == _GONE)
        self._check("GET", answer)
        etag = _etag(answer)
        if etag is None:
            raise FhirWriteBusy("HealthLake answered GET without a version.")
        return Version(etag, content=answer.content)

    def put(self, resource: ResourceName, content: bytes, condition: Mapping[str, str]) -> str | None:
        """Write a version and return its ETag, None where the answer names none. Raises `OtherVersionError`
        when `condition`, the headers of a precondition, does not hold, or the resource has been deleted."""
        answer = self._send("PUT", resource, content, condition)
        if answer.status in (_OTHER_VERSION, _GONE):
            raise OtherVersionError
        self._check("PUT", answer, content)
        return _etag(answer)

    def delete(self, resource: ResourceName, condition: Mapping[str, str]) -> None:
        """Delete a resource, unless it is not there. Raises `OtherVersionError` as `put` does."""
        answer = self._send("DELETE", resource, headers=condition)
        if answer.status == _OTHER_VERSION:
            raise OtherVersionError
        if answer.status not in (_NOT_FOUND, _GONE):
            self._check("DELETE", answer)

    def _send(
        self,
        method: str,
        resource: ResourceName,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        path = f"{resource.resource_type}/{resource.resource_id}"
        try:
            return self._http.exchange(method, path, content, headers or {})
        except Unreachable as error:
            reason, sent = str(error), error.sent
        except NoCredentials:
            raise FhirWriteDenied(
                "There are no AWS credentials to sign requests to HealthLake with."
            ) from None
        raise FhirWriteBusy(f"HealthLake could not be reached: {reason}.", ended=not sent)

    def _check(self, method: str, answer: HttpAnswer, content: bytes = b"") -> None:
        if answer.status in _OK:
            return
        sentence = f"HealthLake answered {method} with {answer.status}."
        throttled = "Throttling" in answer.headers.get("x-amzn-errortype", "")
        if answer.status in _NOT_NOW or answer.status >= 500 or throttled:
            raise FhirWriteBusy(sentence, ended=answer.status != _GAVE_UP_WAITING)
        if answer.status in _DENIED:
            named = naming_the_action(sentence, answer.content.decode(errors="replace"))
            raise FhirWriteDenied(f"{sentence} It needs {_ACTIONS[method]}." if named == sentence else named)
        if _is_outcome(answer.content):
            raise ResourceRefused(method, answer.status, answer.content, content)
        # AWS's front door refuses in other words, and then it is not about the resource.
        raise FhirWriteDenied(sentence)


def _etag(answer: HttpAnswer) -> str | None:
    """The version that an answer names, in its header or in its resource."""
    if etag := answer.headers.get("etag"):
        return etag
    meta = _document(answer.content).get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return f'W/"{version}"' if isinstance(version, str) else None


def _is_outcome(content: bytes) -> bool:
    return _document(content).get("resourceType") == "OperationOutcome"


def _document(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
