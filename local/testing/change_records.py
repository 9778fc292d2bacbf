"""Records of the stream of records as Pipes and Lambda hand them over, and values of all types of DynamoDB.

AWS documentation: Amazon DynamoDB Developer Guide, «Naming rules and data types» and «Service, account, and
table quotas»; AWS Lambda Developer Guide, «Using AWS Lambda with Amazon DynamoDB», an example event.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

from hypothesis import strategies as st

TABLE = "hub-RecordsTable-1A2B3C4D5E6F"
STREAM = f"arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}/stream/2026-11-20T09:00:00.000"
CREATED = 1_795_169_700
"""2026-11-20T10:15:00Z."""

_EXACT = Context(prec=40)

Item = dict[str, dict[str, Any]]


def text(value: str) -> dict[str, Any]:
    return {"S": value}


def item(item_id: str, sk: str, item_type: str, **others: Mapping[str, Any]) -> Item:
    """An item of the records table."""
    attributes = {name: dict(value) for name, value in others.items()}
    return {"id": text(item_id), "sk": text(sk), "itemType": text(item_type), **attributes}


def patient(item_id: str = "p1", **others: Mapping[str, Any]) -> Item:
    return item(item_id, "PATIENT", "Patient", **others)


def address(item_id: str = "p1", number: str = "1", **others: Mapping[str, Any]) -> Item:
    return item(item_id, f"ADDRESS#{number}", "Address", **others)


def measurement(item_id: str = "p1", number: str = "1", **others: Mapping[str, Any]) -> Item:
    return item(item_id, f"MEASUREMENT#{number}", "Measurement", **{"code": text("29463-7"), **others})


def record(new: Item | None, old: Item | None = None, number: int = 1, **stream: Any) -> dict[str, Any]:
    """The record of a change from `old` to `new`."""
    image = new or old or {}
    name = "REMOVE" if new is None else "INSERT" if old is None else "MODIFY"
    images = {key: one for key, one in (("NewImage", new), ("OldImage", old)) if one is not None}
    return {
        "eventID": f"{number:032x}",
        "eventName": name,
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": CREATED,
            "Keys": {"id": image.get("id", text("p1")), "sk": image.get("sk", text("PATIENT"))},
            **images,
            "SequenceNumber": str(100_000_000_000_000_000_000 + number),
            "SizeBytes": len(json.dumps(images)),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
            **stream,
        },
        "eventSourceARN": STREAM,
    }


def _written(number: Decimal) -> str:
    """A number as DynamoDB answers it: no zeros at its ends, an exponent where it is far from the point."""
    if not number:
        return "0"
    number = number.normalize(_EXACT)
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)
    return str(number) if abs(exponent) > 40 else f"{number:f}"


def numbers() -> st.SearchStrategy[str]:
    """Up to 38 digits, from 1E-130 to 9.99E+125."""
    digits = st.one_of(st.integers(0, 999), st.integers(0, 10**15), st.integers(0, 10**38 - 1))
    exponents = st.one_of(st.integers(-6, 3), st.integers(-130, 87))
    sign = st.sampled_from((1, -1))
    return st.builds(
        lambda sign, digits, exponent: _written(Decimal(sign * digits).scaleb(exponent, _EXACT)),
        sign,
        digits,
        exponents,
    )


def texts() -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8"), max_size=20)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def attribute_values() -> st.SearchStrategy[dict[str, Any]]:
    """Values of every type, maps and lists within each other."""
    binaries = st.binary(max_size=12).map(_base64)
    simple = st.one_of(
        st.builds(lambda one: {"S": one}, texts()),
        st.builds(lambda one: {"N": one}, numbers()),
        st.builds(lambda one: {"B": one}, binaries),
        st.builds(lambda one: {"BOOL": one}, st.booleans()),
        st.just({"NULL": True}),
        st.builds(lambda one: {"SS": one}, st.lists(texts(), min_size=1, max_size=4, unique=True)),
        st.builds(lambda one: {"NS": one}, st.lists(numbers(), min_size=1, max_size=4, unique_by=Decimal)),
        st.builds(lambda one: {"BS": one}, st.lists(binaries, min_size=1, max_size=4, unique=True)),
    )
    return st.recursive(
        simple,
        lambda inner: st.one_of(
            st.builds(lambda one: {"L": one}, st.lists(inner, max_size=4)),
            st.builds(lambda one: {"M": one}, st.dictionaries(texts(), inner, max_size=4)),
        ),
        max_leaves=8,
    )


def images(**fixed: Mapping[str, Any]) -> st.SearchStrategy[Item]:
    """Items with any attributes beside those that are given."""
    others = st.dictionaries(texts().filter(lambda name: name not in fixed), attribute_values(), max_size=6)
    return others.map(lambda found: {**found, **{name: dict(one) for name, one in fixed.items()}})
