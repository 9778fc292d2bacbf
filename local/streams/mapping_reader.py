"""An event source mapping as a reader of a table's stream: it gives batches to its function.

AWS documentation: AWS Lambda Developer Guide, «Using AWS Lambda with Amazon DynamoDB», «Configuring partial
batch response with DynamoDB and Lambda» and «Lambda parameters for Amazon DynamoDB event source mappings».
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Self

from local.account.ministack_names import ministack
from local.cloudwatch import stored_metrics
from local.cloudwatch.embedded_metrics import Measured
from local.streams.batches import Attempt, Condition, Limits, Records
from local.streams.failure_destinations import Discarded, deliver
from local.streams.filters import Filters
from local.streams.reader import ReaderSettings
from local.streams.records import Stream
from local.streams.role_calls import READING_A_STREAM, CallFailed, RoleCalls, enter_account

logger = logging.getLogger("local.streams")

_REPORTS = "ReportBatchItemFailures"


class MappingReader:
    """Reads for one mapping, as long as its record is in ministack's store."""

    def __init__(self, mapping: dict[str, Any], stream: Stream) -> None:
        self.name = f"mapping-{mapping['UUID']}"
        self.stream = stream
        self._mapping = mapping
        self._function_error = ""

    @classmethod
    def of(cls, mapping: dict[str, Any]) -> Self | None:
        """The reader of a mapping, None for one that does not read a table's stream."""
        stream = Stream.named(mapping.get("EventSourceArn", ""))
        return None if stream is None else cls(mapping, stream)

    def settings(self) -> ReaderSettings | None:
        """How the mapping reads, None once it is deleted."""
        mappings = ministack("ministack.services.lambda_svc")._esms
        found = mappings.get_scoped(self.stream.account_id, self.stream.region, self._mapping["UUID"])
        return reader_settings(self._mapping) if found is self._mapping else None

    def limits(self) -> Limits | None:
        """How long it tries; None when it is deleted or disabled."""
        settings = self.settings()
        return settings.limits if settings is not None and settings.running else None

    def position(self) -> int:
        """Where it reads on."""
        return int(self._positions.get_scoped(*self._place, 0))

    def checkpoint(self, position: int) -> None:
        """Keep where it reads on."""
        if self.settings() is not None:
            self._positions.set_scoped(*self._place, position)

    def enter(self) -> None:
        """Let this thread work for the mapping."""
        enter_account(self.stream.account_id, self.stream.region)

    def may_read(self) -> bool:
        """Whether the function's role may read the stream; what is lacking is the processing result."""
        function = self._function()
        if function is None:
            return False
        try:
            self._calls(function).require_all(READING_A_STREAM, self.stream.arn)
        except CallFailed:
            lacking = "PROBLEM: Lambda cannot read the stream: the function's role does not allow it."
            if self._mapping["LastProcessingResult"] != lacking:
                logger.warning("%s: %s", self._mapping["FunctionName"], lacking)
            self._mapping["LastProcessingResult"] = lacking
            return False
        return True

    def attempt(self, records: Records) -> Attempt:
        """Invoke the function with the records."""
        function = self._function()
        if function is None:
            return Attempt(records, counted=False)
        self.enter()
        self._put_iterator_age(records)
        service = ministack("ministack.services.lambda_svc")
        event = {"Records": [record.record for record in records]}
        answer = service._execute_function(function, event)
        if answer.get("throttle"):
            return Attempt(records, counted=False)
        error = bool(answer.get("error"))
        left = records if error else self._reported(answer.get("body"), records)
        self._function_error = str(answer.get("function_error") or "Unhandled") if error else ""
        self._mapping["LastProcessingResult"] = "PROBLEM: Function call failed" if left else "OK"
        return Attempt(left, reported=not error)

    def discard(self, records: Records, condition: Condition, attempts: int) -> None:
        """Send what is given up to the mapping's destination, if it has one."""
        name = self._mapping["FunctionName"]
        logger.warning(
            "%s: %d records discarded after %d attempts, %s", name, len(records), attempts, condition
        )
        configured = (self._mapping.get("DestinationConfig") or {}).get("OnFailure") or {}
        destination, function = configured.get("Destination"), self._function()
        if not destination or function is None:
            return
        discarded = Discarded(
            self._mapping["UUID"],
            self._mapping["FunctionArn"],
            self.stream.arn,
            records,
            condition,
            attempts,
            self._function_error,
        )
        try:
            deliver(self._calls(function), destination, discarded)
        except CallFailed as failure:
            logger.error("%s: its destination did not take a record: %s", name, failure)
            self._put("DestinationDeliveryFailures", 1, "Count")

    def _reported(self, body: Any, records: Records) -> Records:
        """What is left after an answer: from the lowest sequence number that it reports on."""
        if _REPORTS not in (self._mapping.get("FunctionResponseTypes") or []):
            return ()
        return records_from_lowest(body, records)

    def _function(self) -> Mapping[str, Any] | None:
        self.enter()
        found, _configuration = ministack("ministack.services.lambda_svc")._get_func_record_for_qualifier(
            self._mapping["FunctionName"], self._mapping.get("Qualifier")
        )
        function: Mapping[str, Any] | None = found
        return function

    def _calls(self, function: Mapping[str, Any]) -> RoleCalls:
        role = (function.get("config") or function).get("Role", "")
        return RoleCalls("lambda", role, self.stream.region, self.stream.account_id)

    def _put_iterator_age(self, records: Records) -> None:
        self._put("IteratorAge", max(0.0, time.time() - records[-1].created) * 1000, "Milliseconds")

    def _put(self, name: str, value: float, unit: str) -> None:
        dimensions = {"FunctionName": self._mapping["FunctionName"]}
        stored_metrics.put(Measured("AWS/Lambda", name, unit, dimensions, (value,), time.time()))

    @property
    def _positions(self) -> Any:
        return ministack("ministack.services.lambda_svc")._dynamodb_stream_positions

    @property
    def _place(self) -> tuple[str, str, str]:
        return self.stream.account_id, self.stream.region, self._mapping["UUID"]


def reader_settings(mapping: Mapping[str, Any]) -> ReaderSettings:
    """How a mapping reads; values of a template's parameters are texts."""
    retries, age = (_bounded(mapping.get(name)) for name in ("MaximumRetryAttempts", _AGE))
    limits = Limits(
        retries, None if age is None else float(age), _true(mapping.get("BisectBatchOnFunctionError", False))
    )
    return ReaderSettings(
        batch_size=int(mapping.get("BatchSize") or 100),
        window_seconds=float(mapping.get("MaximumBatchingWindowInSeconds") or 0),
        filters=Filters.of(mapping.get("FilterCriteria")),
        limits=limits,
        running=_true(mapping.get("Enabled", True)),
    )


def records_from_lowest(body: Any, records: Records) -> Records:
    """The records from the lowest that `batchItemFailures` names; all of them when it names no record.

    An answer without failures is a success, and so is an empty one.
    """
    failures = body.get("batchItemFailures") if isinstance(body, dict) else None
    if not failures:
        return ()
    places = {record.sequence_number: place for place, record in enumerate(records)}
    named = [
        places.get(str(one.get("itemIdentifier"))) if isinstance(one, dict) else None for one in failures
    ]
    lowest = 0 if None in named else min(place for place in named if place is not None)
    return records[lowest:]


_AGE = "MaximumRecordAgeInSeconds"


def _bounded(value: Any) -> int | None:
    return None if value is None or int(value) < 0 else int(value)


def _true(value: Any) -> bool:
    return value.lower() == "true" if isinstance(value, str) else bool(value)
