"""Why a dead letter goes to quarantine instead of back."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The first two say that it may not go back again, the others that it cannot."""

    REDRIVEN_TOO_OFTEN = "REDRIVEN_TOO_OFTEN"
    """It was sent back `maxRedrives` times and died each time, or messages with the same identity did."""

    TOO_OLD = "TOO_OLD"
    """SQS would drop it soon: it is older than the age at which messages go to quarantine."""

    SOURCE_UNKNOWN = "SOURCE_UNKNOWN"
    """No queue names this one as its dead-letter queue, and the message does not say where it died."""

    SEVERAL_SOURCES = "SEVERAL_SOURCES"
    """Several queues do, and the message does not say in which it died."""

    TARGET_UNKNOWN = "TARGET_UNKNOWN"
    """The attribute that names the target is missing or no ARN."""

    TARGET_NOT_SUPPORTED = "TARGET_NOT_SUPPORTED"
    """The target is of a service, or of a kind, that cannot be given the message as it was bound for it."""

    TARGET_ELSEWHERE = "TARGET_ELSEWHERE"
    """The target is in another account, region or partition."""

    TARGET_NOT_BOUND = "TARGET_NOT_BOUND"
    """The rule, schedule, function or pipe that the message names is not the stack's own, is gone, has no
    such target, or does not send here what fails at it."""

    FUNCTION_UNKNOWN = "FUNCTION_UNKNOWN"
    """An asynchronous invocation that does not say of which function: a dead-letter queue of Lambda's keeps
    the event alone, an on-failure destination the function too."""

    PAYLOAD_MISSING = "PAYLOAD_MISSING"
    """The record of an invocation came without what the function was invoked with."""

    PAYLOAD_TRUNCATED = "PAYLOAD_TRUNCATED"
    """EventBridge Scheduler says that it cut the payload off."""

    EVENT_UNREADABLE = "EVENT_UNREADABLE"
    """No event in the shape of EventBridge."""

    EVENT_OF_AWS = "EVENT_OF_AWS"
    """An event whose source begins with `aws.`, which only AWS may put on a bus."""

    POSITION_UNREADABLE = "POSITION_UNREADABLE"
    """No position in a stream, or the stream has no such records."""

    POSITION_SHARED = "POSITION_SHARED"
    """Between the first and the last record of the batch stand others, and the reader has a filter that the
    redrive cannot stand in for: it might be given what it is never to see."""

    POSITION_EXPIRED = "POSITION_EXPIRED"
    """The stream has dropped the records: it keeps them for 24 hours."""
