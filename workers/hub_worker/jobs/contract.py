"""What a job is given and what it has to give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hub_worker.commits import Effect, ItemChange
from hub_worker.messages import JobMessage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Work:
    """One job to do. `check` is called between two steps that take a second or more: it raises when the job
    is not to go on, and otherwise is the sign of progress that the worker's health lives on."""

    message: JobMessage
    s3: S3Client
    check: Callable[[], None]


class Job(Protocol):
    """What a rule's transitions ask for. It reads and computes; the effect that it returns is committed once.

    It may be begun any number of times. What it raises leaves the message for another try, except
    PermanentFailure.
    """

    def run(self, work: Work) -> Effect:
        """Do the job. Raises PermanentFailure with a reason, in a word, when no retry will do it."""
        ...

    def failed(self, message: JobMessage, reason: str) -> ItemChange | None:
        """The change of the item when the job has failed for good."""
        ...
