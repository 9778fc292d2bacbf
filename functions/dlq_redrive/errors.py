"""Errors of the redrive workflow. The state machine matches them by class name."""

from __future__ import annotations

from common.errors import HubError


class RedriveThrottled(HubError):
    """A service answered «not now» after the SDK's own retries. Worth another try."""


class RedriveDenied(HubError):
    """A permission is missing; the message names the operation and, where it is told, the action."""


class KeyDenied(HubError):
    """The key of an encrypted queue or target cannot be used: no permission, disabled or gone."""


class QueueGone(HubError):
    """A queue does not exist any more."""


class NotLookedAt(HubError):
    """Other queues took all the time that a plan may take."""


class TargetGone(HubError):
    """What a message is bound for does not exist: a function, a state machine, a pipe."""


class TargetRefused(HubError):
    """A target was reached and did not take what was sent back; the message says which and how.
    It is a delivery that died, and counts as a redrive."""


class TargetTookPart(TargetRefused):
    """A target took some of the records or events that were sent back, and not the others."""


class NotDeleted(HubError):
    """A message was sent back and could not be deleted; the message names why. It is in two places, and every
    further try to redrive it is another delivery: nobody makes one at once."""


class LockLost(HubError):
    """The lock of the queue is not the calling execution's: another one redrives it, or none does."""
