"""What cannot be recorded. Nothing in these messages comes out of a notification: keys may say whom they are
about."""

from __future__ import annotations

from common.errors import HubError


class UnreadableNotification(HubError):
    """A message is none of Amazon S3's notifications, or one of its records is not."""
