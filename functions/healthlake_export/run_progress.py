"""What the end of a run means for the progress of its datastore: the watermark moves, or it is held.

A run is held where HealthLake could not export some resources and the operator wants the watermark to wait
for them (`OnExportErrors`). Its window stays open and grows, so after a few held runs in a row exports are
paused until a person decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from healthlake_export.datastore_state import DatastoreState
from healthlake_export.run_context import RunContext

HOLDS_BEFORE_PAUSE = 3


@dataclass(frozen=True)
class RunProgress:
    """What a run's end writes into the state item. A `watermark` comes with the event ids of the run's last
    minutes, if it left any (`silent`: it published none of them), and ends holds and pause. Without one,
    `holds` is the new count of held runs, and `paused_at` the time at which exports pause. All of them None:
    nothing changes."""

    watermark: str | None = None
    published_ids: str | None = None
    silent: bool = False
    holds: int | None = None
    paused_at: str | None = None

    @property
    def is_held(self) -> bool:
        """Whether the watermark was to move and did not."""
        return self.holds is not None

    def assignments(self) -> dict[str, str | int | bool]:
        """Attributes of the state item that are set."""
        values = {
            "watermark": self.watermark,
            "publishedIds": self.published_ids,
            "idsAreSilent": True if self.published_ids and self.silent else None,
            "holds": self.holds,
            "pausedAt": self.paused_at,
        }
        return {name: value for name, value in values.items() if value is not None}

    def removals(self) -> list[str]:
        """Attributes of the state item that are removed."""
        if self.watermark is None:
            return []
        ids = ("publishedIds", "idsAreSilent")
        return ["holds", "pausedAt", *(name for name in ids if name not in self.assignments())]


NO_PROGRESS = RunProgress()
"""Of a failed run, or of one that covers a part."""


def progress_of(
    run: RunContext,
    state: DatastoreState,
    *,
    requested_at: str,
    published_ids: str | None,
    hold: bool,
    now: str,
) -> RunProgress:
    """What the end of `run` means, given the state that it found; `hold` says that it has export errors for
    which the watermark is to wait."""
    if not run.advances_watermark:
        return NO_PROGRESS
    if not hold or run.accepts_errors:
        return RunProgress(watermark=requested_at, published_ids=published_ids, silent=not run.events)
    holds = state.holds + 1
    pauses = holds >= HOLDS_BEFORE_PAUSE
    return RunProgress(holds=holds, paused_at=(state.paused_at or now) if pauses else None)
