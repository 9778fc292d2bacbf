"""Items of the records table with awkward values, as DynamoDB images: the same ones for the same seed.

Numbers are written as DynamoDB gives them back: up to 38 significant digits, no zeros at the end of a
fraction («Supported data types and naming rules in Amazon DynamoDB»).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

Image = Mapping[str, dict[str, Any]]
"""An item as DynamoDB gives it: each attribute with its type."""

PATIENT, ADDRESS, MEASUREMENT = "Patient", "Address", "Measurement"
INTERNAL_PREFIX = "#"
"""Items whose sort key begins so are an application's own: nothing tells of them."""

FAMILIES = (
    "Testpatient",
    "Løvås-Muster",
    "Müßig",
    "O’Prüf",
    "例示",
    "Тестова",
    "Nul\u200dl",
    'Quo"te\\',
    "😀🩺",
)
GIVEN = ("Synthetic", "Ana-Lucía", "Œuvre", "架空", "Žofie")
CITIES = ("Musterstadt", "Łódź", "São Example", "例市", "Ab\tcd")
GENDERS = ("male", "female", "other", "unknown")
DIGITS = (
    "36.6",
    "0.1",
    "-40",
    "71.1000000000000000000000000000000001",
    "12345678901234567890123456789012345678",
    "1234567890.123456789012345678",
    "9007199254740993",
    "0.00000000000000000001",
    "-0.3000000000000000000004",
)


@dataclass(frozen=True)
class Key:
    """The key of an item, with the type that its record tells."""

    id: str
    sk: str
    item_type: str

    @property
    def internal(self) -> bool:
        """Whether the item is an application's own, of which no stream tells."""
        return self.sk.startswith(INTERNAL_PREFIX)

    @property
    def image(self) -> dict[str, dict[str, Any]]:
        """The key as DynamoDB wants it."""
        return {"id": {"S": self.id}, "sk": {"S": self.sk}}


def keys_of(patient: str, addresses: int, measurements: int, *, locked: bool) -> list[Key]:
    """The keys of one patient's items; one that is `locked` has an internal item too."""
    return [
        Key(patient, "PATIENT", PATIENT),
        *(Key(patient, f"ADDRESS#{number}", ADDRESS) for number in range(1, addresses + 1)),
        *(Key(patient, f"MEASUREMENT#{number}", MEASUREMENT) for number in range(1, measurements + 1)),
        *([Key(patient, f"{INTERNAL_PREFIX}LOCK", "Lock")] if locked else []),
    ]


def item(key: Key, random: Random) -> dict[str, dict[str, Any]]:
    """A new state of the item."""
    image: dict[str, dict[str, Any]] = {"itemType": {"S": key.item_type}}
    drawn: dict[str, dict[str, Any]] = _ATTRIBUTES.get(key.item_type, _internal)(random)
    return image | key.image | drawn


def _patient(random: Random) -> dict[str, dict[str, Any]]:
    given = random.sample(GIVEN, random.randrange(1, 4))
    attributes: dict[str, dict[str, Any]] = {
        "familyName": {"S": random.choice(FAMILIES)},
        "givenNames": {"L": [{"S": name} for name in given]},
        "gender": {"S": random.choice(GENDERS)},
        "birthDate": {"S": f"{random.randrange(1900, 2026)}-{random.randrange(1, 13):02}-17"},
    }
    if random.random() < 0.4:
        attributes["active"] = {"BOOL": random.random() < 0.5}
    return attributes | _extras(random)


def _address(random: Random) -> dict[str, dict[str, Any]]:
    attributes: dict[str, dict[str, Any]] = {
        "lines": {"L": [{"S": f"Probeweg {random.randrange(1, 200)}"}]},
        "city": {"S": random.choice(CITIES)},
        "postalCode": {"S": f"{random.randrange(100_000):05}"},
        "country": {"S": random.choice(("DE", "NO", "BR"))},
    }
    return attributes | _extras(random)


def _measurement(random: Random) -> dict[str, dict[str, Any]]:
    return {
        "status": {"S": "final"},
        "code": {"S": "8310-5"},
        "display": {"S": "Body temperature"},
        "value": {"N": number(random)},
        "unit": {"S": "Cel"},
        "measuredAt": {"S": f"2026-11-{random.randrange(1, 21):02}T08:{random.randrange(60):02}:00Z"},
    } | _extras(random)


def _internal(random: Random) -> dict[str, dict[str, Any]]:
    return {"holder": {"S": f"{random.getrandbits(64):016x}"}}


def _extras(random: Random) -> dict[str, dict[str, Any]]:
    """Attributes that no mapping reads, of every type that an item can have."""
    extras: dict[str, Callable[[], dict[str, Any]]] = {
        "note": lambda: {"S": random.choice(("", "a\nb", "\u2028", '{"S": "x"}', "\x7f\x01"))},
        "weights": lambda: {"NS": sorted({number(random) for _ in range(3)})},
        "tags": lambda: {"SS": sorted(random.sample(GIVEN, 2))},
        "photo": lambda: {"B": b"\x00\x01\xfe\xff"},
        "ended": lambda: {"NULL": True},
        "visits": lambda: {
            "M": {"ever": {"N": number(random)}, "last": {"L": [{"N": "0"}, {"BOOL": False}]}}
        },
        "counted": lambda: {"N": number(random)},
    }
    return {name: extras[name]() for name in random.sample(sorted(extras), random.randrange(4))}


def number(random: Random) -> str:
    """Digits of a number, more than a double holds now and then."""
    if random.random() < 0.5:
        return random.choice(DIGITS)
    whole, fraction = random.randrange(10**6), f"{random.randrange(1, 10**9):09}".rstrip("0")
    return f"{whole}.{fraction}"


_ATTRIBUTES: Mapping[str, Callable[[Random], dict[str, dict[str, Any]]]] = {
    PATIENT: _patient,
    ADDRESS: _address,
    MEASUREMENT: _measurement,
}
