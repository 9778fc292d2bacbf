"""Search: query parameters to a filter, matches to a searchset Bundle with a next link.

AWS HealthLake Developer Guide, "FHIR R4 search parameters for HealthLake": _id, _lastUpdated, _count, _sort,
_summary=count and the page token of the next link.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import msgspec

from local.healthlake.clock import to_ms
from local.healthlake.errors import FhirError, invalid
from local.healthlake.store import Filter, ResourceStore, StoredResource

DEFAULT_PAGE = 100
LARGEST_PAGE = 1000

_DATE = re.compile(
    r"(?P<prefix>eq|gt|ge|lt|le|sa|eb)?(?P<year>\d{4})(-(?P<month>\d\d)(-(?P<day>\d\d)"
    r"(T(?P<hour>\d\d):(?P<minute>\d\d)(:(?P<second>\d\d)(\.(?P<fraction>\d+))?)?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)
_IGNORED = {"_format", "_pretty", "_total"}
_SORTS = {"_lastUpdated": "time", "-_lastUpdated": "-time", "_id": "id"}


@dataclass(frozen=True)
class SearchQuery:
    """A search as asked for; `parameters` are those that the links repeat."""

    wanted: Filter
    order: str
    after: tuple[int, str] | None
    count: int
    summary: bool
    parameters: tuple[tuple[str, str], ...]


def parse_search(resource_type: str, query: Mapping[str, Sequence[str]]) -> SearchQuery:
    """The search that the parameters ask for; FhirError (400) names the parameter that is not understood."""
    ids: list[str] | None = None
    times: list[tuple[str, int]] = []
    order, count, summary, after = "id", DEFAULT_PAGE, False, None
    for name, values in query.items():
        for value in values:
            match name:
                case "_id":
                    ids = value.split(",") if ids is None else [i for i in value.split(",") if i in ids]
                case "_lastUpdated":
                    times += parse_time_condition(value)
                case "_count":
                    count = _parse_count(value)
                case "_sort":
                    order = _parse_sort(value)
                case "_summary":
                    summary = _parse_summary(value)
                case "page":
                    after = _parse_cursor(value)
                case _ if name not in _IGNORED:
                    raise FhirError(
                        400, "not-supported", f"The search parameter {name[:64]} is not supported."
                    )
    kept = tuple((name, value) for name, values in query.items() for value in values if name != "page")
    wanted = Filter((resource_type,), ids, times)
    return SearchQuery(wanted, order, after, count, summary or count == 0, kept)


def parse_time_condition(value: str) -> list[tuple[str, int]]:
    """SQL bounds, in milliseconds, of a FHIR date search value such as ge2026-11-20T18:40:00Z."""
    match = _DATE.fullmatch(value)
    if match is None:
        raise invalid("_lastUpdated takes an optional prefix eq, gt, ge, lt or le and a FHIR date.")
    start, end = _period(match)
    return {
        "eq": [(">=", start), ("<", end)],
        "gt": [(">=", end)],
        "sa": [(">=", end)],
        "ge": [(">=", start)],
        "lt": [("<", start)],
        "eb": [("<", start)],
        "le": [("<", end)],
    }[match["prefix"] or "eq"]


def _period(match: re.Match[str]) -> tuple[int, int]:
    """A date means the whole period that it leaves open: a day, a minute, a second, a millisecond."""
    try:
        zone = match["zone"] or "Z"
        start = datetime(
            int(match["year"]),
            int(match["month"] or 1),
            int(match["day"] or 1),
            int(match["hour"] or 0),
            int(match["minute"] or 0),
            int(match["second"] or 0),
            int((match["fraction"] or "0").ljust(6, "0")[:6]),
            UTC if zone == "Z" else datetime.strptime(zone, "%z").tzinfo,
        )
        if match["fraction"]:
            length = timedelta(milliseconds=1)
        elif match["second"]:
            length = timedelta(seconds=1)
        elif match["hour"]:
            length = timedelta(minutes=1)
        elif match["day"]:
            length = timedelta(days=1)
        else:
            days = calendar.monthrange(start.year, start.month)[1]
            length = timedelta(days=days if match["month"] else 365 + calendar.isleap(start.year))
        return to_ms(start), to_ms(start + length)
    except (ValueError, OverflowError):
        raise invalid("_lastUpdated names a moment that does not exist.") from None


def _parse_count(value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise invalid("_count is not a number.")
    return min(int(value), LARGEST_PAGE)


def _parse_sort(value: str) -> str:
    if value not in _SORTS:
        raise FhirError(400, "not-supported", "_sort takes _lastUpdated, -_lastUpdated or _id.")
    return _SORTS[value]


def _parse_summary(value: str) -> bool:
    if value not in ("count", "false"):
        raise FhirError(400, "not-supported", "_summary takes count or false.")
    return value == "count"


def _parse_cursor(value: str) -> tuple[int, str]:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(value), type=tuple[int, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise invalid("The page token is not one this datastore gave out.") from None


def run_search(store: ResourceStore, query: SearchQuery, endpoint: str) -> bytes:
    """The searchset Bundle of one page; resources appear in it as stored."""
    resource_type = query.wanted.resource_types[0]
    total = store.count(query.wanted)
    found = [] if query.summary else store.find(query.wanted, query.order, query.after, query.count + 1)
    page, more = found[: query.count], len(found) > query.count
    links = [("self", query.parameters)]
    if more:
        links.append(("next", (*query.parameters, ("page", _cursor(page[-1])))))
    head = msgspec.json.encode(
        {
            "resourceType": "Bundle",
            "type": "searchset",
            "total": total,
            "link": [
                {"relation": relation, "url": f"{endpoint}{resource_type}?{urlencode(parameters)}"}
                for relation, parameters in links
            ],
        }
    )
    entries = b",".join(_entry(endpoint, stored) for stored in page)
    return head[:-1] + b',"entry":[' + entries + b"]}"


def _entry(endpoint: str, stored: StoredResource) -> bytes:
    url = f"{endpoint}{stored.resource_type}/{stored.resource_id}".encode()
    return b'{"fullUrl":"' + url + b'","resource":' + stored.text + b',"search":{"mode":"match"}}'


def _cursor(last: StoredResource) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode((last.last_updated or 0, last.resource_id))).decode()
