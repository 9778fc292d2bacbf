"""Callbacks to the state that waits for an export, by its task token.

Follows the AWS Step Functions API Reference, «SendTaskSuccess», «SendTaskFailure», «SendTaskHeartbeat».
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from common.errors import HubError
from common.observability import presentable
from common.refusals import is_denied

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

_LONGEST_CAUSE = 32_768


def attempt_of(task_token: str) -> str:
    """A short name for one attempt of the waiting state: each attempt has a token of its own."""
    return hashlib.sha256(task_token.encode()).hexdigest()[:16]


class TaskCallbacks:
    """Each method returns whether the state was still waiting. False proves nothing about the run: the
    other path may have finished the state, or a retry may be waiting with a token of its own."""

    def __init__(self, client: SFNClient) -> None:
        self._client = client

    def succeed(self, task_token: str, output: Mapping[str, Any]) -> bool:
        """End the waiting state with `output`."""
        return self._is_waiting(
            lambda: self._client.send_task_success(taskToken=task_token, output=json.dumps(output))
        )

    def fail(self, task_token: str, error: HubError) -> bool:
        """End the waiting state with an error of the hub."""
        return self._is_waiting(
            lambda: self._client.send_task_failure(
                taskToken=task_token, error=type(error).__name__, cause=str(error)[:_LONGEST_CAUSE]
            )
        )

    def heartbeat(self, task_token: str) -> bool:
        """Tell the waiting state that its export is being watched."""
        return self._is_waiting(lambda: self._client.send_task_heartbeat(taskToken=task_token))

    def _is_waiting(self, call: Callable[[], object]) -> bool:
        gone = self._client.exceptions
        try:
            call()
        except (gone.TaskTimedOut, gone.TaskDoesNotExist, gone.InvalidToken):
            return False
        return True


@contextmanager
def ending_the_wait_when_denied(end_wait: Callable[[HubError], bool]) -> Iterator[None]:
    """Fail the waiting state at once when a call inside is refused for lack of a permission: no delivery
    of the message brings one, and the missing heartbeat that would end the wait names nothing. The refusal
    is let through when nobody waits, or when it is the callback that is not allowed.
    """
    try:
        yield
    except ClientError as error:
        if not is_denied(error) or not end_wait(presentable(error)):
            raise
