"""create, read, vread, update, delete and search of single resources.

AWS HealthLake Developer Guide, "Managing FHIR resources in AWS HealthLake", "Idempotency and Concurrency" and
"Searching FHIR resources in AWS HealthLake".
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from local.healthlake.catalog import Datastore
from local.healthlake.clock import http_date, iso_ms
from local.healthlake.errors import FhirError, invalid, not_found
from local.healthlake.http_types import Request, Response, fhir_response
from local.healthlake.resource_text import ResourceText, check_id, parse_resource
from local.healthlake.resource_types import RESOURCE_TYPES
from local.healthlake.search import parse_search, run_search
from local.healthlake.store import ResourceStore, StoredResource, Writer

_ETAG = re.compile(r'(?:W/)?"(\d{1,18})"')


@dataclass(frozen=True)
class ResourcesApi:
    """The resources of one datastore over REST."""

    datastore: Datastore
    store: ResourceStore

    def create(self, request: Request, resource_type: str) -> Response:
        """POST {type}: 201 with a server-assigned id."""
        check_type(resource_type)
        resource = parse_resource(request.body)
        with self.store.writing() as writer:
            stored = create(writer, resource, resource_type)
        return self._written(request, stored)

    def read(self, resource_type: str, resource_id: str) -> Response:
        """GET {type}/{id}: the current version; 404 for an unknown id, 410 for a deleted one."""
        return self._found(self._current(resource_type, resource_id))

    def vread(self, resource_type: str, resource_id: str, version: str) -> Response:
        """GET {type}/{id}/_history/{version}: the current version only; earlier ones are not kept."""
        stored = self._current(resource_type, resource_id)
        if version != str(stored.version):
            raise not_found("That version of the resource")
        return self._found(stored)

    def update(self, request: Request, resource_type: str, resource_id: str) -> Response:
        """PUT {type}/{id}: 200 with the next version, or 201 where there was no such resource."""
        check_type(resource_type)
        resource = parse_resource(request.body)
        if_match = parse_if_match(request.headers)
        only_new = parse_if_none_match(request.headers)
        with self.store.writing() as writer:
            if only_new:
                _check_new(writer, resource_type, resource_id)
            stored = update(writer, resource, resource_type, resource_id, if_match)
        return self._written(request, stored)

    def delete(self, request: Request, resource_type: str, resource_id: str) -> Response:
        """DELETE {type}/{id}: 204, again for one that is deleted already; 404 for one that never was."""
        check_type(resource_type)
        check_id(resource_id)
        with self.store.writing() as writer:
            if not writer.delete(resource_type, resource_id, parse_if_match(request.headers)):
                raise not_found("The resource")
        return Response(204)

    def search(self, resource_type: str, query: Mapping[str, Sequence[str]]) -> Response:
        """GET {type}?…: a searchset Bundle."""
        check_type(resource_type)
        return fhir_response(
            200, run_search(self.store, parse_search(resource_type, query), self.datastore.endpoint)
        )

    def search_by_post(self, request: Request, resource_type: str) -> Response:
        """POST {type}/_search: parameters in the URL or in a form, not in both."""
        form = parse_qs(request.body.decode("latin-1"), keep_blank_values=True)
        if form and request.query:
            raise invalid("Search parameters belong in the URL or in the body, not in both.")
        return self.search(resource_type, form or request.query)

    def _current(self, resource_type: str, resource_id: str) -> StoredResource:
        check_type(resource_type)
        check_id(resource_id)
        stored = self.store.read(resource_type, resource_id)
        if stored is None:
            raise not_found("The resource")
        if stored.deleted:
            raise FhirError(410, "deleted", "The resource has been deleted.", "ResourceNotFoundException")
        return stored

    def _found(self, stored: StoredResource) -> Response:
        return fhir_response(200, stored.text, version_headers(stored))

    def _written(self, request: Request, stored: StoredResource) -> Response:
        headers = {**version_headers(stored), "location": f"{self.datastore.endpoint}{location(stored)}"}
        minimal = "return=minimal" in request.headers.get("prefer", "")
        return fhir_response(201 if stored.created else 200, b"" if minimal else stored.text, headers)


def create(writer: Writer, resource: ResourceText, resource_type: str) -> StoredResource:
    """Store a new resource under an id of the server's choice, whatever id it came with."""
    _check_same_type(resource, resource_type)
    return writer.put(resource, str(uuid.uuid4()))


def update(
    writer: Writer, resource: ResourceText, resource_type: str, resource_id: str, if_match: int | None
) -> StoredResource:
    """Store the next version of a resource, or its first."""
    check_id(resource_id)
    _check_same_type(resource, resource_type)
    if resource.resource_id is None:
        raise invalid("The resource has no id; an update needs the id of its URL.")
    if resource.resource_id != resource_id:
        raise invalid("The id of the resource differs from the id in the URL.")
    return writer.put(resource, resource_id, if_match)


def check_type(resource_type: str) -> None:
    """Refuse (404) a path that does not begin with a resource type."""
    if resource_type not in RESOURCE_TYPES:
        raise FhirError(404, "not-supported", "The path names no resource type of FHIR R4.")


def parse_if_match(headers: Mapping[str, str]) -> int | None:
    """The version that If-Match demands, or None without the header."""
    value = headers.get("if-match")
    if value is None:
        return None
    match = _ETAG.fullmatch(value.strip())
    if match is None:
        raise invalid('If-Match takes one ETag, such as W/"3".')
    return int(match[1])


def parse_if_none_match(headers: Mapping[str, str]) -> bool:
    """Whether If-None-Match demands that there is no such resource."""
    value = headers.get("if-none-match")
    if value is not None and value.strip() != "*":
        raise invalid("If-None-Match takes an asterisk alone.")
    return value is not None


def location(stored: StoredResource) -> str:
    """Path of the version below the endpoint."""
    return f"{stored.resource_type}/{stored.resource_id}/_history/{stored.version}"


def version_headers(stored: StoredResource) -> dict[str, str]:
    """ETag and Last-Modified of a version."""
    modified = {"last-modified": http_date(stored.last_updated)} if stored.last_updated is not None else {}
    return {"etag": stored.etag, **modified}


def entry_response(stored: StoredResource) -> dict[str, str]:
    """Bundle.entry.response of a written version."""
    return {
        "status": "201 Created" if stored.created else "200 OK",
        "location": location(stored),
        "etag": stored.etag,
        "lastModified": iso_ms(stored.last_updated or 0),
    }


def _check_new(writer: Writer, resource_type: str, resource_id: str) -> None:
    """Refuse (412) a resource that exists. One that was deleted does not: AWS leaves that open, FHIR's delete
    «removes an existing resource»."""
    found = writer.current(resource_type, resource_id)
    if found is not None and not found[1]:
        raise FhirError(412, "conflict", "If-None-Match: the resource exists.")


def _check_same_type(resource: ResourceText, resource_type: str) -> None:
    if resource.resource_type != resource_type:
        raise invalid("The resourceType of the resource differs from the type in the URL.")
