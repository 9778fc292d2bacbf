"""What is refused. Nothing in these messages comes out of an item."""

from __future__ import annotations

from typing import ClassVar

from common.errors import HubError


class InvalidRules(HubError):
    """The file of rules breaks its schema; the message names rule and field."""


class UnreadableRecord(HubError):
    """A record is none of a stream with new and old images, or an attribute that a rule reads is none of
    DynamoDB's; no further try mends it."""

    routine: ClassVar[bool] = False


class OutputFailed(HubError):
    """What a transition leads to was not accepted; worth another try."""
