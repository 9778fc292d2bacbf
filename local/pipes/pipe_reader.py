"""A pipe as a reader of its stream: it lives as long as its record in ministack's store does.

AWS documentation: «Amazon DynamoDB stream as a source for EventBridge Pipes»; «Amazon EventBridge Pipes error
handling and troubleshooting».
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any, Self

from local.account.ministack_names import ministack
from local.pipes import metrics, parameters
from local.pipes.execution import Execution
from local.streams.batches import Attempt, Condition, Limits, Records
from local.streams.failure_destinations import send
from local.streams.position_records import batch_info, timestamp
from local.streams.reader import ReaderSettings
from local.streams.records import Stream
from local.streams.role_calls import READING_A_STREAM, CallFailed, RoleCalls

logger = logging.getLogger("local.pipes")


class PipeReader:
    """Reads for one pipe."""

    def __init__(self, pipe: dict[str, Any], stream: Stream, region: str, account_id: str) -> None:
        self.name = f"pipe-{pipe['Name']}"
        self.stream = stream
        self._pipe = pipe
        self._region = region
        self._account_id = account_id

    @classmethod
    def of(cls, pipe: dict[str, Any]) -> Self | None:
        """The reader of a pipe, None for one whose source is no stream of a table."""
        stream = Stream.named(pipe.get("Source", ""))
        region, account_id = pipe["Arn"].split(":")[3:5]
        return None if stream is None else cls(pipe, stream, region, account_id)

    def settings(self) -> ReaderSettings | None:
        """How the pipe reads, None once it is deleted."""
        return parameters.reader_settings(self._pipe) if self._exists() else None

    def limits(self) -> Limits | None:
        """How long it tries; None when it is deleted or stopped."""
        settings = self.settings()
        return settings.limits if settings is not None and settings.running else None

    def position(self) -> int:
        """Where it reads on."""
        return int(self._positions.get_scoped(self._account_id, self._region, self._pipe["Arn"], 0))

    def checkpoint(self, position: int) -> None:
        """Keep where it reads on."""
        if self._exists():
            self._positions.set_scoped(self._account_id, self._region, self._pipe["Arn"], position)

    def enter(self) -> None:
        """Let this thread work for the pipe."""
        self._calls().enter()

    def may_read(self) -> bool:
        """Whether its role may be assumed and may read the stream; the pipe's state says what is lacking."""
        calls = self._calls()
        try:
            calls.require_trust(self._pipe["Arn"])
            calls.require_all(READING_A_STREAM, self.stream.arn)
        except CallFailed as refusal:
            if self._pipe.get("StateReason") != str(refusal):
                logger.warning("%s: %s", self.name, refusal)
            self._pipe["StateReason"] = str(refusal)
            metrics.put(self._pipe["Name"], {"Invocations": 1, "ExecutionFailed": 1})
            return False
        self._pipe["StateReason"] = ""
        return True

    def attempt(self, records: Records) -> Attempt:
        """Take the records through the pipe."""
        return Execution(self._pipe, self._calls()).run(records)

    def discard(self, records: Records, condition: Condition, attempts: int) -> None:
        """Send where the records stand to the pipe's dead-letter queue, if it has one."""
        destination = (parameters.source_parameters(self._pipe).get("DeadLetterConfig") or {}).get("Arn")
        logger.warning(
            "%s: %d records discarded after %d attempts, %s", self.name, len(records), attempts, condition
        )
        if not destination:
            return
        told = {
            "context": {"partnerResourceArn": self._pipe["Arn"], "condition": str(condition)},
            "version": "1.0",
            "timestamp": timestamp(time.time()),
            "DDBStreamBatchInfo": batch_info(self.stream.arn, records),
        }
        try:
            send(self._calls(), destination, json.dumps(told))
        except CallFailed as failure:
            logger.error("%s: its dead-letter queue did not take a record: %s", self.name, failure)

    def _exists(self) -> bool:
        pipes = ministack("ministack.services.pipes")._pipes
        return pipes.get_scoped(self._account_id, self._region, self._pipe["Name"]) is self._pipe

    def _calls(self) -> RoleCalls:
        return RoleCalls("pipes", self._pipe.get("RoleArn", ""), self._region, self._account_id)

    @property
    def _positions(self) -> Any:
        return ministack("ministack.services.pipes")._positions
