"""The resources that the table's final items must have become, and how they are read from HealthLake.

Contents are told from the items alone. Only the id of a resource is asked of the product, for it is the
product's to choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.demo.streams.items import ADDRESS, MEASUREMENT, PATIENT, Image, Key
from local.demo.streams.plain_values import parsed, same_number
from local.demo.streams.plan import Plan

Resource = Mapping[str, Any]
Read = Callable[[str], bytes | None]
"""Gives the text of a resource by its type and id, None if it is not there."""

NAMES = {PATIENT: "Patient", MEASUREMENT: "Observation"}


@dataclass(frozen=True)
class Expected:
    """A resource by the item that it stands for: what it must be, None where it must not be there."""

    key: Key
    item: Image | None
    addresses: Sequence[Image] = ()

    @property
    def resource_type(self) -> str:
        return NAMES[self.key.item_type]


def expected(plan: Plan) -> list[Expected]:
    """A resource for each item that stands for one, and for each that did once."""
    keys = [key for key in {**plan.final, **dict.fromkeys(plan.removed)} if key.item_type in NAMES]
    return [
        Expected(key, plan.final.get(key), _addresses(plan, key) if key.item_type == PATIENT else ())
        for key in keys
    ]


def _addresses(plan: Plan, patient: Key) -> list[Image]:
    own = [key for key in plan.final if key.id == patient.id and key.item_type == ADDRESS]
    return [plan.final[key] for key in sorted(own, key=lambda key: key.sk)]


def state_problems(resources: Sequence[Expected], names: Mapping[Key, str], read: Read) -> list[str]:
    """What HealthLake has otherwise than the table, given the type and id of each resource."""
    found = []
    for one in resources:
        text = read(names[one.key])
        wrong = sorted(_wrong(one, text)) if text is not None and one.item is not None else []
        if (text is None) != (one.item is None):
            wrong = ["is not there" if text is None else "is still there"]
        found += [f"{names[one.key]} of {one.key}: {problem}" for problem in wrong]
    return found


def _wrong(one: Expected, text: bytes) -> Iterator[str]:
    resource, item = parsed(text), one.item or {}
    if resource.get("resourceType") != one.resource_type:
        yield f"is of type {resource.get('resourceType')}"
        return
    rules = (
        _patient(resource, item, one.addresses) if one.key.item_type == PATIENT else _value(resource, item)
    )
    yield from (f"{name} differs" for name, holds in rules.items() if not holds)


def _patient(resource: Resource, item: Image, addresses: Sequence[Image]) -> dict[str, bool]:
    name = resource.get("name", [{}])[0]
    return {
        "family": name.get("family") == _text(item, "familyName"),
        "given": name.get("given", []) == _texts(item, "givenNames"),
        "gender": resource.get("gender") == _text(item, "gender"),
        "birthDate": resource.get("birthDate") == _text(item, "birthDate"),
        "active": resource.get("active") == item.get("active", {}).get("BOOL"),
        "address": [_place(address) for address in resource.get("address", [])]
        == [
            (_texts(image, "lines"), *(_text(image, name) for name in ("city", "postalCode", "country")))
            for image in addresses
        ],
    }


def _place(address: Resource) -> tuple[Any, ...]:
    return (address.get("line", []), *(address.get(name) for name in ("city", "postalCode", "country")))


def _value(resource: Resource, item: Image) -> dict[str, bool]:
    quantity = resource.get("valueQuantity", {})
    coding = resource.get("code", {}).get("coding", [{}])[0]
    return {
        "value": same_number(quantity.get("value"), item["value"]["N"]),
        "unit": quantity.get("unit") == _text(item, "unit"),
        "status": resource.get("status") == _text(item, "status"),
        "code": coding.get("code") == _text(item, "code"),
        "time": resource.get("effectiveDateTime") == _text(item, "measuredAt"),
        "subject": resource.get("subject", {}).get("reference", "").endswith(item["id"]["S"]),
    }


def _text(image: Image, name: str) -> str | None:
    return image.get(name, {}).get("S")


def _texts(image: Image, name: str) -> list[str]:
    return [value["S"] for value in image.get(name, {}).get("L", [])]
