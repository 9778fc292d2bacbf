"""The price table: bench/prices.json, with the page that each price stands on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).parent / "prices.json"


@dataclass(frozen=True)
class Price:
    """What one unit costs, in dollars; `service` is whose bill it is on, `source` AWS's page of it."""

    price: float
    unit: str
    service: str
    source: str
    url: str
    read: str


@dataclass(frozen=True)
class Prices:
    """Prices by key, for instance `s3.put`; `services` says which of them a service's resources need, or why
    they need none."""

    region: str
    collected: str
    prices: Mapping[str, Price]
    services: Mapping[str, list[str] | str]

    def cost(self, key: str, quantity: float) -> float:
        """Dollars for a quantity; raises KeyError for a key that has no price."""
        return self.prices[key].price * quantity


def read_prices(path: Path = TABLE) -> Prices:
    """The table in a file."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return Prices(
        region=told["region"],
        collected=told["collected"],
        prices={key: Price(**one) for key, one in told["prices"].items()},
        services=told["services"],
    )
