"""Errors that may leave a handler.

The text of an exception that leaves a handler becomes `errorMessage`, then the `Cause` of a state and
then part of an execution's history, where resource content must never stand. So a handler lets out only
types that derive from `HubError`, whose messages are written in this code and name nothing but ids,
counts, object keys, operations and settings, and raises them `from None`.
"""

from __future__ import annotations

from typing import ClassVar


class HubError(Exception):
    """Base of every error that a function of the hub lets out. Its class name is the error that Retry
    and Catch in a state machine match, so renaming one is a change of the state machine too."""

    routine: ClassVar[bool] = False
    """Whether it is part of an ordinary day and not worth an error in the log."""


class InvalidSetting(HubError):
    """A setting in the function's environment is missing or malformed; the message names it."""


class InvalidInput(HubError):
    """An input that a person or program sent is wrong; the message names the field and what it takes."""


class AwsCallFailed(HubError):
    """An AWS call failed after the SDK's own retries; the message names operation and error code.
    Worth another try: the calls of the hub can be made twice."""


class UnexpectedError(HubError):
    """Something that no code here expected; where it happened is in the function's log."""
