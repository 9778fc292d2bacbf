"""Which records a reader wants: event patterns, matched as EventBridge matches them.

AWS documentation: «Event filtering in Amazon EventBridge Pipes»; AWS Lambda Developer Guide, «Control which
events Lambda sends to your function». A record passes that matches one of at most five patterns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from local.account.ministack_names import ministack

MOST_FILTERS = 5


class FilterRefused(ValueError):
    """What a pattern is not valid for, or more patterns than there may be."""


@dataclass(frozen=True)
class Filters:
    """The patterns of a reader; none lets every record pass."""

    patterns: tuple[str, ...] = ()

    @classmethod
    def of(cls, criteria: Mapping[str, Any] | None) -> Self:
        """The patterns of `FilterCriteria`."""
        found = (one.get("Pattern") for one in (criteria or {}).get("Filters") or [])
        return cls(tuple(pattern for pattern in found if pattern))

    def check(self) -> None:
        """Raise FilterRefused for what AWS refuses when the reader is made."""
        if len(self.patterns) > MOST_FILTERS:
            raise FilterRefused(f"There are more than {MOST_FILTERS} filters.")
        error = ministack("ministack.services.eventbridge")._event_pattern_error
        for pattern in self.patterns:
            if (refusal := error(pattern)) is not None:
                raise FilterRefused(f"Invalid filter pattern specified. {refusal}")

    def passes(self, record: Mapping[str, Any]) -> bool:
        """Whether the reader is given the record."""
        if not self.patterns:
            return True
        events = ministack("ministack.services.eventbridge")
        return any(
            events._matches_detail(record, alternative)
            for pattern in self.patterns
            for alternative in _alternatives(events, pattern)
        )


def _alternatives(events: Any, pattern: str) -> Sequence[Any]:
    return events._compiled_pattern(pattern) or ()
