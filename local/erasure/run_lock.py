"""The run lock of the datastore in the hands of an erasure: no run begins while it works.

An erasure is no execution: nobody can ask Step Functions whether it lives. It says so itself, by renewing
the time after which its lock is stale; a run or another erasure takes a stale one.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from common.conditional_writes import condition_holds
from common.instants import format_instant
from healthlake_export.erasures import lock_owner
from healthlake_export.table_keys import state_key

STALE_AFTER = timedelta(minutes=10)
RENEWED_EVERY = timedelta(minutes=1)
_OWNER = {"#owner": "owner"}


class LockLost(Exception):
    """The lock was stale, and somebody else has taken it."""


@dataclass(frozen=True)
class Holder:
    """Who has the lock: an execution's ARN or an erasure, since when, and when its lock is stale."""

    owner: str
    since: str
    stale_after: str


class RunLock:
    """The run lock of one datastore for one erasure."""

    def __init__(
        self,
        dynamodb: Any,
        table: str,
        datastore_id: str,
        erasure_id: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        renewed_every: timedelta = RENEWED_EVERY,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._key = state_key(datastore_id)
        self._owner = lock_owner(erasure_id)
        self._clock = clock
        self._renewed_every = renewed_every
        self._lost = threading.Event()
        self._done = threading.Event()

    def holder(self) -> Holder | None:
        """Who has the lock now, by a consistent read."""
        answer = self._dynamodb.get_item(TableName=self._table, Key=self._key, ConsistentRead=True)
        item = {name: value.get("S", "") for name, value in answer.get("Item", {}).items()}
        if "owner" not in item:
            return None
        return Holder(item["owner"], item.get("lockedAt", ""), item.get("staleAfter", ""))

    def acquire(self) -> bool:
        """Take the lock if it is free, or of an erasure that has not renewed it."""
        now = self._clock()
        return self._update(
            "SET #owner = :owner, lockedAt = :now, staleAfter = :stale, phase = :erasing REMOVE runId",
            "attribute_not_exists(#owner) OR #owner = :owner "
            "OR (begins_with(#owner, :erasure) AND staleAfter < :now)",
            {
                ":now": format_instant(now),
                ":stale": format_instant(now + STALE_AFTER),
                ":erasing": "ERASING",
                ":erasure": lock_owner(""),
            },
        )

    def renew(self) -> bool:
        """Say that the erasure lives; False when it does not have the lock."""
        stale = format_instant(self._clock() + STALE_AFTER)
        return self._update("SET staleAfter = :stale", "#owner = :owner", {":stale": stale})

    def release(self) -> bool:
        """Give the lock back; False when the erasure does not have it."""
        return self._update("REMOVE #owner, lockedAt, staleAfter, phase", "#owner = :owner", {})

    def require(self) -> None:
        """Raise `LockLost` when the lock was found to be another's."""
        if self._lost.is_set():
            raise LockLost

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lock, which has to be held, until the end, and give it back then."""
        self._lost.clear()
        self._done.clear()
        renewal = threading.Thread(target=self._keep_renewing, name="renewal of the run lock", daemon=True)
        renewal.start()
        try:
            yield
        finally:
            self._done.set()
            renewal.join()
            self.release()

    def _keep_renewing(self) -> None:
        try:
            self._renew_until_done()
        finally:
            # Whatever has ended the renewal early, the lock may be another's soon.
            if not self._done.is_set():
                self._lost.set()

    def _renew_until_done(self) -> None:
        last = self._clock()
        while not self._done.wait(self._renewed_every.total_seconds()):
            try:
                held = self.renew()
            except (ClientError, BotoCoreError):
                # Tried again until the lock is stale.
                held = self._clock() - last < STALE_AFTER
            else:
                last = self._clock()
            if not held:
                return

    def _update(self, update: str, condition: str, values: Mapping[str, str]) -> bool:
        given = {name: {"S": text} for name, text in {":owner": self._owner, **values}.items()}
        return condition_holds(
            lambda: self._dynamodb.update_item(
                TableName=self._table,
                Key=self._key,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeNames=_OWNER,
                ExpressionAttributeValues=given,
            )
        )
