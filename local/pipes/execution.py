"""One execution of a pipe: the enrichment, then the target.

AWS documentation: «Event enrichment in Amazon EventBridge Pipes»; «Amazon EventBridge Pipes batching and
concurrency»: part of a batch that the target did not take goes through the whole pipe again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import msgspec

from local.pipes import metrics, parameters, targets
from local.pipes.json_paths import PathRefused
from local.pipes.parameters import PathNotFound, Pipe
from local.streams.batches import Attempt, Records
from local.streams.records import json_list
from local.streams.role_calls import CallFailed, RoleCalls

logger = logging.getLogger("local.pipes")

MOST_BYTES_OF_AN_ANSWER = 6 * 1024 * 1024
_EMPTY = (b'""', b"{}", b"null", b"")


class Execution:
    """Takes one batch through a pipe, as the pipe is configured now, and puts its metrics."""

    def __init__(self, pipe: Pipe, calls: RoleCalls) -> None:
        self._pipe = pipe
        self._calls = calls
        self._measured: dict[str, float] = {"Invocations": 1, "ExecutionTimeout": 0}

    def run(self, records: Records) -> Attempt:
        """What is left of the records."""
        started = time.monotonic()
        self._measured |= {"EventCount": len(records), "EventSize": sum(len(one.raw) for one in records)}
        throttled = failed = partially = False
        left: Records = records
        try:
            places = self._process(records)
        except CallFailed as failure:
            throttled, failed = failure.throttled, not failure.throttled
            logger.warning("pipe %s: %s", self._pipe["Name"], failure)
        except (PathNotFound, PathRefused, msgspec.DecodeError, UnicodeDecodeError) as failure:
            failed = True
            logger.warning("pipe %s: %s", self._pipe["Name"], type(failure).__name__)
        else:
            left = [records[place] for place in places]
            partially = bool(left)
        self._measured |= {
            "Duration": (time.monotonic() - started) * 1000,
            "ExecutionFailed": int(failed),
            "ExecutionPartiallyFailed": int(partially),
            "ExecutionThrottled": int(throttled),
        }
        metrics.put(self._pipe["Name"], self._measured)
        return Attempt(left, counted=not throttled)

    def _process(self, records: Records) -> list[int]:
        """The places of the records that the target did not take."""
        events = self._enriched([record.raw for record in records])
        if not events:
            return []
        template = parameters.template(self._pipe, "TargetParameters")
        if template is not None:
            events = [template.render(event) for event in events]
        failed = self._put(events)
        if not failed or len(events) == len(records):
            return failed
        # an enrichment that answers more or fewer events does not say which is of which record
        return list(range(len(records)))

    def _put(self, events: Sequence[bytes]) -> list[int]:
        started = time.monotonic()
        failed: list[int] | None = None
        try:
            failed = targets.put_into_target(self._pipe, self._calls, events)
            return failed
        finally:
            self._measured |= {
                "TargetStageDuration": (time.monotonic() - started) * 1000,
                "TargetStageFailed": int(failed is None),
                "TargetStagePartiallyFailed": int(bool(failed)),
                "TargetStageSkipped": 0,
            }

    def _enriched(self, events: list[bytes]) -> list[bytes]:
        """The events that the enrichment answers, in the digits it answered; the same without enrichment."""
        function_arn = self._pipe.get("Enrichment")
        if not function_arn:
            return events
        template = parameters.template(self._pipe, "EnrichmentParameters")
        if template is not None:
            events = [template.render(event) for event in events]
        started = time.monotonic()
        answered: list[bytes] | None = None
        try:
            answered = self._ask(function_arn, events)
            return answered
        finally:
            self._measured |= {
                "EnrichmentStageDuration": (time.monotonic() - started) * 1000,
                "EnrichmentStageFailed": int(answered is None),
            }
            if answered == []:
                self._measured["TargetStageSkipped"] = 1

    def _ask(self, function_arn: str, events: list[bytes]) -> list[bytes]:
        if parameters.service_of(function_arn) != "lambda":
            raise CallFailed("ValidationException", "Enrichments here are functions.")
        answer = self._calls.invoke(function_arn, json_list(events), "RequestResponse").strip()
        if len(answer) > MOST_BYTES_OF_AN_ANSWER:
            raise CallFailed("ResponseTooLarge", "The enrichment's answer is larger than 6 MB.")
        if answer in _EMPTY:
            return []
        if answer[:1] != b"[":
            return [answer]
        return [bytes(one) for one in msgspec.json.decode(answer, type=list[msgspec.Raw])]
