"""The text of a FHIR resource: its keys are read, its meta is replaced, everything else stays as sent.

Numbers must not pass through Python's types: 1.10 would become 1.1, and integers past 2^63 would become
doubles. So the text is cut and joined, never parsed and written again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from local.healthlake.errors import FhirError, invalid
from local.healthlake.resource_types import RESOURCE_TYPES

ID_PATTERN = re.compile(r"[A-Za-z0-9\-.]{1,64}")

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_STRING = msgspec.json.Decoder(str)
_KEY = re.compile(rb'\s*"(?:[^"\\]|\\.)*"\s*:\s*')
_NEXT = re.compile(rb"\s*[,}]")


@dataclass(frozen=True)
class Span:
    """Where a member's value lies in the text."""

    start: int
    end: int


@dataclass(frozen=True)
class ResourceText:
    """A resource as sent, on one line, with the places of its top-level members."""

    text: bytes
    resource_type: str
    resource_id: str | None
    members: dict[str, Span]

    def stamped(self, resource_id: str, version: int, last_updated: str) -> bytes:
        """The text with id, meta.versionId and meta.lastUpdated set; the rest byte for byte as it was."""
        edits: list[tuple[Span, bytes]] = []
        identity = b'"' + resource_id.encode() + b'"'
        after = self.members["resourceType"].end
        if "id" in self.members:
            edits.append((self.members["id"], identity))
            after = self.members["id"].end
        else:
            edits.append((Span(after, after), b',"id":' + identity))
        meta = self._meta(version, last_updated)
        if "meta" in self.members:
            edits.append((self.members["meta"], meta))
        else:
            edits.append((Span(after, after), b',"meta":' + meta))
        return _apply(self.text, edits)

    def _meta(self, version: int, last_updated: str) -> bytes:
        stamp = b'{"versionId":"%d","lastUpdated":"%s"' % (version, last_updated.encode())
        if "meta" not in self.members:
            return stamp + b"}"
        span = self.members["meta"]
        kept = _MEMBERS.decode(self.text[span.start : span.end])
        parts = [stamp]
        for key, value in kept.items():
            if key not in ("versionId", "lastUpdated"):
                parts.append(msgspec.json.encode(key) + b":" + bytes(value))
        return b",".join(parts) + b"}"


def parse_resource(body: bytes) -> ResourceText:
    """Read the keys of a resource; FhirError (400) names what HealthLake would refuse it for."""
    text = _one_line(body)
    members, values = _locate_members(text)
    if "resourceType" not in values:
        raise invalid("The resource has no resourceType.")
    resource_type = _string(values["resourceType"], "resourceType")
    if resource_type not in RESOURCE_TYPES:
        raise FhirError(400, "not-supported", "resourceType is not a resource type of FHIR R4.")
    resource_id = _string(values["id"], "id") if "id" in values else None
    if resource_id is not None:
        check_id(resource_id)
    if "meta" in values and not values["meta"].startswith(b"{"):
        raise invalid("meta is not an object.")
    return ResourceText(text, resource_type, resource_id, members)


def check_id(resource_id: str) -> None:
    """Refuse (400) an id that FHIR does not allow."""
    if not ID_PATTERN.fullmatch(resource_id):
        raise invalid("The id must be 1 to 64 letters, digits, hyphens or dots.")


def _one_line(body: bytes) -> bytes:
    if not body.strip():
        raise invalid("The request has no body.")
    if body.startswith(b"\xef\xbb\xbf"):
        raise invalid("The body is not JSON: it begins with a byte order mark.")
    try:
        body.decode("utf-8")
        if b"\n" in body or b"\r" in body:
            # A resource becomes one line of an export file; line breaks outside strings carry no content.
            return msgspec.json.format(body, indent=-1)
    except UnicodeDecodeError:
        raise invalid("The body is not UTF-8.") from None
    except (msgspec.DecodeError, RecursionError):
        raise invalid("The body is not JSON.") from None
    return body.strip()


def _locate_members(text: bytes) -> tuple[dict[str, Span], dict[str, bytes]]:
    if not text.startswith(b"{"):
        raise invalid("The resource is not a JSON object.")
    try:
        values = {key: bytes(raw) for key, raw in _MEMBERS.decode(text).items()}
    except RecursionError:
        raise invalid("The resource is nested too deeply.") from None
    except msgspec.DecodeError:
        raise invalid("The body is not JSON.") from None
    members: dict[str, Span] = {}
    position = 1
    for key, value in values.items():
        start = _end_of(_KEY, text, position)
        end = start + len(value)
        if not text.startswith(value, start):
            raise invalid("A property of the resource appears twice.")
        members[key] = Span(start, end)
        position = _end_of(_NEXT, text, end)
    if values and position != len(text):
        raise invalid("A property of the resource appears twice.")
    return members, values


def _end_of(pattern: re.Pattern[bytes], text: bytes, position: int) -> int:
    match = pattern.match(text, position)
    if match is None:
        raise invalid("A property of the resource appears twice.")
    return match.end()


def _string(raw: bytes, name: str) -> str:
    try:
        return _STRING.decode(raw)
    except msgspec.DecodeError:
        raise invalid(f"{name} is not a string.") from None


def _apply(text: bytes, edits: list[tuple[Span, bytes]]) -> bytes:
    parts = []
    position = 0
    for span, replacement in sorted(edits, key=lambda edit: edit[0].start):
        parts += [text[position : span.start], replacement]
        position = span.end
    return b"".join([*parts, text[position:]])
