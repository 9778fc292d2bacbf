"""Joins readers of streams to ministack, whose event source mappings keep nothing of what failed there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from local.account.ministack_names import ministack
from local.streams import fault_requests, write_metrics
from local.streams.arrivals import ARRIVALS, Arrivals
from local.streams.faults import FAULTS
from local.streams.mapping_reader import MappingReader
from local.streams.queue_mappings import by_group
from local.streams.reader import Readers
from local.streams.stream_permissions import stream_that_is_read


def register() -> None:
    """Let event source mappings of streams try again, divide, discard and tell as on AWS."""
    service = ministack("ministack.services.lambda_svc")
    readers = Readers(watch_writes())
    service._poll_dynamodb_streams = lambda: False
    service._sqs_esm_concurrency = by_group(service._sqs_esm_concurrency)
    service._ensure_poller = _reading(service._ensure_poller, readers)
    service.reset = _announcing(service.reset)
    actions = ministack("ministack.core.iam_actions")
    actions.extract_resource_arn = stream_that_is_read(actions.extract_resource_arn)
    fault_requests.register(FAULTS)


def watch_writes() -> Arrivals:
    """What happens in the account's streams; every write is announced in it, and counted, from now on."""
    dynamodb = ministack("ministack.services.dynamodb")
    if not getattr(dynamodb._emit_stream_event, "announces", False):
        dynamodb._emit_stream_event = _announcing(_counting(dynamodb._emit_stream_event))
    return ARRIVALS


def _counting(shipped: Callable[..., Any]) -> Callable[..., Any]:
    """ministack's function that every write of an item calls, whether its table has a stream or not."""

    def emit_stream_event(table_name: str, name: str, old: Any, new: Any, *more: Any, **named: Any) -> Any:
        write_metrics.put(table_name, (old, new))
        return shipped(table_name, name, old, new, *more, **named)

    return emit_stream_event


def _reading(shipped: Callable[[], None], readers: Readers) -> Callable[[], None]:
    """ministack's start of its poller, which reads queues; streams get a thread for each mapping."""

    def ensure_poller() -> None:
        shipped()
        for _scope, mapping in list(ministack("ministack.services.lambda_svc")._esms.all_items()):
            reader = MappingReader.of(mapping)
            if reader is not None:
                readers.start(mapping, reader)

    return ensure_poller


def _announcing(shipped: Callable[..., Any]) -> Callable[..., Any]:
    def announcing(*args: Any, **kwargs: Any) -> Any:
        answer = shipped(*args, **kwargs)
        ARRIVALS.announce()
        return answer

    announcing.announces = True  # type: ignore[attr-defined]
    return announcing
