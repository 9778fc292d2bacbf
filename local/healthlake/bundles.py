"""Batch and transaction Bundles.

AWS HealthLake Developer Guide, "Bundling FHIR resources": each entry of a batch succeeds or fails alone; a
transaction is stored whole or not at all, and its entries may refer to each other by fullUrl.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import msgspec

from local.healthlake.catalog import Datastore
from local.healthlake.errors import FhirError, invalid, not_found
from local.healthlake.http_types import Response, fhir_response
from local.healthlake.resource_text import check_id, parse_resource
from local.healthlake.resources_api import (
    check_type,
    create,
    entry_response,
    parse_if_match,
    update,
    version_headers,
)
from local.healthlake.search import parse_search, run_search
from local.healthlake.store import ResourceStore, Writer

_REFERENCE = re.compile(rb'("reference"\s*:\s*)"(urn:uuid:[0-9a-fA-F\-]{1,64})"')
_STATUS_TEXT = {200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found", 410: "Gone"}


class EntryRequest(msgspec.Struct, rename="camel"):
    """Bundle.entry.request."""

    method: str
    url: str
    if_match: str | None = None


class Entry(msgspec.Struct, rename="camel"):
    """Bundle.entry; the resource stays text."""

    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()
    request: EntryRequest | None = None


class Bundle(msgspec.Struct, rename="camel"):
    """The parts of a Bundle that say what to do."""

    resource_type: str
    type: str
    entry: list[Entry] = []


_DECODER = msgspec.json.Decoder(Bundle)


@dataclass(frozen=True)
class BundlesApi:
    """Bundles posted to the root of one datastore."""

    datastore: Datastore
    store: ResourceStore

    def process(self, body: bytes) -> Response:
        """POST to the endpoint: a batch-response or transaction-response Bundle."""
        bundle = _parse(body)
        if bundle.type == "batch":
            return self._batch(bundle)
        if bundle.type == "transaction":
            return self._transaction(bundle)
        raise invalid("The type of the Bundle must be batch or transaction.")

    def _batch(self, bundle: Bundle) -> Response:
        results = []
        with self.store.writing() as writer:
            for entry in bundle.entry:
                try:
                    results.append(self._perform(writer, entry, _text(entry)))
                except FhirError as refusal:
                    results.append(_refused(refusal))
        return _answer("batch-response", results)

    def _transaction(self, bundle: Bundle) -> Response:
        assigned = {
            entry.full_url.encode(): f"{entry.request.url}/{uuid.uuid4()}"
            for entry in bundle.entry
            if entry.full_url and entry.request and entry.request.method == "POST"
        }
        targets = dict(assigned)
        for entry in bundle.entry:
            if entry.full_url and entry.request and entry.request.method == "PUT":
                targets[entry.full_url.encode()] = entry.request.url

        def resolve(match: re.Match[bytes]) -> bytes:
            target = targets.get(match[2])
            return match[1] + b'"' + target.encode() + b'"' if target else match[0]

        results = []
        with self.store.writing() as writer:
            for number, entry in enumerate(bundle.entry):
                text = _REFERENCE.sub(resolve, _text(entry))
                new_id = assigned.get((entry.full_url or "").encode(), "").rpartition("/")[2]
                try:
                    results.append(self._perform(writer, entry, text, new_id or None))
                except FhirError as refusal:
                    reason = f"Entry {number}: {refusal.diagnostics} Nothing of the transaction was stored."
                    raise FhirError(refusal.status, refusal.code, reason, refusal.aws_type) from None
        return _answer("transaction-response", results)

    def _perform(self, writer: Writer, entry: Entry, text: bytes, new_id: str | None = None) -> bytes:
        if entry.request is None:
            raise invalid("The entry has no request.")
        path, _, query = entry.request.url.partition("?")
        segments = path.strip("/").split("/")
        check_type(segments[0])
        match entry.request.method, segments:
            case "POST", [resource_type] if new_id is not None:
                resource = parse_resource(text)
                if resource.resource_type != resource_type:
                    raise invalid("The resourceType of the resource differs from the type in the URL.")
                return _result(entry_response(writer.put(resource, new_id)))
            case "POST", [resource_type]:
                return _result(entry_response(create(writer, parse_resource(text), resource_type)))
            case "PUT", [resource_type, resource_id]:
                headers = {"if-match": entry.request.if_match} if entry.request.if_match else {}
                if_match = parse_if_match(headers)
                stored = update(writer, parse_resource(text), resource_type, resource_id, if_match)
                return _result(entry_response(stored))
            case "DELETE", [resource_type, resource_id]:
                check_id(resource_id)
                if not writer.delete(resource_type, resource_id):
                    raise not_found("The resource")
                return _result({"status": "204 No Content"})
            case "GET", [resource_type, resource_id]:
                return self._read(resource_type, resource_id)
            case "GET", [resource_type]:
                search = parse_search(resource_type, parse_qs(query, keep_blank_values=True))
                return _result({"status": "200 OK"}, run_search(self.store, search, self.datastore.endpoint))
        raise FhirError(400, "not-supported", "The entry asks for something that bundles do not do.")

    def _read(self, resource_type: str, resource_id: str) -> bytes:
        # Reads see what was stored before the bundle: R4 lets a server order a batch as it likes.
        check_id(resource_id)
        stored = self.store.read(resource_type, resource_id)
        if stored is None:
            raise not_found("The resource")
        if stored.deleted:
            raise FhirError(410, "deleted", "The resource has been deleted.")
        return _result({"status": "200 OK", "etag": version_headers(stored)["etag"]}, stored.text)


def _parse(body: bytes) -> Bundle:
    try:
        bundle = _DECODER.decode(body)
    except msgspec.ValidationError:
        raise invalid("The body is not a Bundle with a type and entries.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid("The body is not JSON.") from None
    except RecursionError:
        raise invalid("The Bundle is nested too deeply.") from None
    if bundle.resource_type != "Bundle":
        raise invalid("The body is not a Bundle.")
    return bundle


def _text(entry: Entry) -> bytes:
    return bytes(entry.resource)


def _result(response: dict[str, Any], resource: bytes | None = None) -> bytes:
    described = b'"response":' + msgspec.json.encode(response)
    return b"{" + (b'"resource":' + resource + b"," if resource else b"") + described + b"}"


def _refused(refusal: FhirError) -> bytes:
    text = _STATUS_TEXT.get(refusal.status, "Error")
    return _result({"status": f"{refusal.status} {text}", "outcome": refusal.outcome()})


def _answer(bundle_type: str, results: list[bytes]) -> Response:
    head = b'{"resourceType":"Bundle","type":"' + bundle_type.encode() + b'","entry":['
    return fhir_response(200, head + b",".join(results) + b"]}")
