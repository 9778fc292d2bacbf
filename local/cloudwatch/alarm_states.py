"""What state an alarm has, from the data points of its evaluation range.

AWS documentation: Amazon CloudWatch User Guide, «Alarm evaluation» and «Configuring how CloudWatch alarms
treat missing data»; the tables of the latter are its tests.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

OK = "OK"
ALARM = "ALARM"
INSUFFICIENT_DATA = "INSUFFICIENT_DATA"

COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}

# AWS retrieves more data points than it evaluates and does not say how many; its examples have 5 for 3.
MORE_RETRIEVED = 2


@dataclass(frozen=True)
class Rule:
    """When an alarm goes off: `to_alarm` breaching data points among the last `periods` ones."""

    comparison: str
    threshold: float
    periods: int
    to_alarm: int
    missing: str
    """TreatMissingData: breaching, notBreaching, ignore or missing."""

    @property
    def retrieved(self) -> int:
        """Data points in the evaluation range."""
        return self.periods + MORE_RETRIEVED

    def breaches(self, value: float) -> bool:
        return COMPARISONS[self.comparison](value, self.threshold)


def state_of(rule: Rule, points: Sequence[float | None], current: str) -> str:
    """The state after an evaluation; `points` are those of the evaluation range, the latest last, None for a
    missing one. Missing ones are filled in only where fewer are there than the alarm evaluates."""
    there = [rule.breaches(point) for point in points if point is not None][-rule.periods :]
    breaching, filled = sum(there), rule.periods - len(there)
    match rule.missing:
        case "breaching":
            return ALARM if breaching + filled >= rule.to_alarm else OK
        case "notBreaching":
            return ALARM if breaching >= rule.to_alarm else OK
    if filled == 0 or breaching >= rule.to_alarm:
        return ALARM if breaching >= rule.to_alarm else OK
    if breaching < len(there):
        return OK
    if rule.missing == "ignore":
        return current
    return ALARM if there else INSUFFICIENT_DATA
