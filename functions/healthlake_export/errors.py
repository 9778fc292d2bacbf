"""Errors of the export workflow. The state machine matches them by class name."""

from __future__ import annotations

from common.errors import HubError


class RunLockHeld(HubError):
    """Another execution holds the run lock of the datastore."""

    routine = True


class ExportsPaused(HubError):
    """Runs were held too often in a row; what the schedule starts is turned away until a person acts."""

    routine = True


class RunSuperseded(HubError):
    """The run no longer owns the lock: another one took over, or its own clean-up has ended it."""

    routine = True


class ExportFailed(HubError):
    """HealthLake ended the export job with anything but success."""


class ExportTimedOut(HubError):
    """The export job ran longer than `MaxExportHours`; time spent queued does not count."""


class HealthLakeBusy(HubError):
    """HealthLake answered «not now»: throttled, or busy with another job. Worth another try."""


class HealthLakeRefused(HubError):
    """HealthLake refused a request for good; the message carries the status code and the operation."""


class ManifestMismatch(HubError):
    """The job's manifest and the objects under its prefix name different files."""


class TooManyRanges(HubError):
    """The export would be cut into more byte ranges than one map can take; the setting has to change."""


class RangeChanged(HubError):
    """An exported object is not the one that was planned: its ETag has changed, or it is gone."""


class RangeTimedOut(HubError):
    """The time of a function ended before its byte range did. Left behind as a reason and never raised:
    Lambda ends the function itself."""


class EventsNotAccepted(HubError):
    """EventBridge did not take every event within the tries allowed."""


class ReconciliationFailed(HubError):
    """What was processed does not add up to what was exported; the message names the range and the sum."""
