"""Which records a reader wants: event patterns, matched as EventBridge matches them.

AWS documentation: «Event filtering in Amazon EventBridge Pipes»; Amazon EventBridge User Guide, «Comparison
operators for use in event patterns»; AWS Lambda Developer Guide, «Control which events Lambda sends to your
function». A record passes that matches one of at most five patterns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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
            if refused := sorted(unsupported_operators(json.loads(pattern))):
                raise FilterRefused(f"Invalid filter pattern specified. Not supported: {', '.join(refused)}")

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


def unsupported_operators(pattern: Mapping[str, Any]) -> Iterator[str]:
    """The operators of a pattern that rules of a bus have and filters of pipes and functions have not: of
    `anything-but` only that with values, and no `wildcard`."""
    for name, part in pattern.items():
        if isinstance(part, Mapping):
            yield from unsupported_operators(part)
            continue
        for one in part:
            if name == "$or" and isinstance(one, Mapping):
                yield from unsupported_operators(one)
            else:
                yield from _unsupported(one)


def _unsupported(test: Any) -> Iterator[str]:
    if not isinstance(test, Mapping):
        return
    if "wildcard" in test:
        yield "wildcard"
    if isinstance(values := test.get("anything-but"), Mapping):
        yield from (f"anything-but {name}" for name in values)


def _alternatives(events: Any, pattern: str) -> Sequence[Any]:
    return events._compiled_pattern(pattern) or ()
