"""What became of the messages of a queue, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_COUNTS = ("received", "redriven", "quarantined", "returned", "failed")


@dataclass
class Tally:
    """Counts since the execution began. `failures` says by the name of the error how often messages could not
    be handled, `reasons` why messages went to quarantine. A message that failed may be counted again when it
    is received again. `emptied` says that nothing more was received."""

    received: int = 0
    redriven: int = 0
    quarantined: int = 0
    returned: int = 0
    failed: int = 0
    emptied: bool = False
    failures: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)

    @classmethod
    def going_on_from(cls, result: Mapping[str, Any] | None) -> Tally:
        """A tally that goes on from what an earlier call returned."""
        before = result or {}
        counts: dict[str, Any] = {name: int(before.get(name, 0)) for name in _COUNTS}
        return cls(
            **counts, failures=dict(before.get("failures", {})), reasons=dict(before.get("reasons", {}))
        )

    @property
    def moved(self) -> int:
        """Messages that are no longer in the queue."""
        return self.redriven + self.quarantined

    def quarantine(self, reason: str) -> None:
        """Count a message that went to quarantine."""
        self.quarantined += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def fail(self, error: str) -> None:
        """Count a message that could not be handled."""
        self.failed += 1
        self.failures[error] = self.failures.get(error, 0) + 1

    def to_result(self) -> dict[str, Any]:
        """The tally as a state machine keeps it."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in _COUNTS}
        return {**counts, "emptied": self.emptied, "failures": self.failures, "reasons": self.reasons}
