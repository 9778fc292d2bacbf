"""What a person, a schedule or an alarm may ask of a redrive, and the refusal of everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import InvalidInput
from common.input_fields import flag_field, name_field, number_field, require_known_fields
from dlq_redrive.arns import Arn, Home, is_fifo, parse_arn
from dlq_redrive.dead_letter import KINDS

FIELDS = (
    "queueArn",
    "kinds",
    "mode",
    "destinationArn",
    "maxMessagesPerSecond",
    "maxRedrives",
    "dryRun",
    "startedBy",
)
"""What an input may have."""

BULK, COUNTED = "bulk", "counted"
_MODES = (BULK, COUNTED)

MOST_MESSAGES_PER_SECOND = 500
"""What SQS moves at most («StartMessageMoveTask», Amazon SQS API Reference); the same bound in both modes."""

MOST_REDRIVES = 20

ALARM = "alarm"
"""Who started a redrive that an alarm's event started."""

_ALARM_EVENT = "CloudWatch Alarm State Change"


@dataclass(frozen=True)
class RedriveRequest:
    """The input of an execution. No queue means every dead-letter queue of the stack that is of one of the
    `kinds`; no mode means that the first redrive of a queue is SQS's own, and that what comes back is
    redriven one by one."""

    queue_arn: str | None = None
    mode: str | None = None
    destination_arn: str | None = None
    max_messages_per_second: int | None = None
    max_redrives: int | None = None
    dry_run: bool = False
    started_by: str = "unknown"
    kinds: tuple[str, ...] = KINDS


def parse_redrive_request(request: Any, home: Home) -> RedriveRequest:
    """The request in an execution's input, which may also be an alarm's event as EventBridge sends it. Raises
    `InvalidInput` saying which rule it broke.

    Follows «Alarm events and EventBridge» of the Amazon CloudWatch User Guide.
    """
    if isinstance(request, dict) and request.get("detail-type") == _ALARM_EVENT:
        return RedriveRequest(queue_arn=_queue_of_alarm(request, home), started_by=ALARM)
    request = require_known_fields(request, FIELDS)
    parsed = RedriveRequest(
        queue_arn=_queue("queueArn", request.get("queueArn"), home),
        kinds=_kinds(request.get("kinds")),
        mode=_mode(request.get("mode")),
        destination_arn=_destination(request.get("destinationArn"), home),
        max_messages_per_second=number_field(
            "maxMessagesPerSecond", request.get("maxMessagesPerSecond"), 1, MOST_MESSAGES_PER_SECOND
        ),
        max_redrives=number_field("maxRedrives", request.get("maxRedrives"), 1, MOST_REDRIVES),
        dry_run=flag_field("dryRun", request.get("dryRun")),
        started_by=name_field("startedBy", request.get("startedBy")),
    )
    _require_sense(parsed)
    return parsed


def _require_sense(parsed: RedriveRequest) -> None:
    """Raises `InvalidInput` for fields that are right alone and wrong together."""
    if parsed.mode == BULK and parsed.max_redrives is not None:
        raise InvalidInput(
            "The input asks for the mode 'bulk', which counts nothing, and for 'maxRedrives': choose one."
        )
    if parsed.queue_arn is not None and parsed.kinds != KINDS:
        raise InvalidInput(
            "The input has a 'queueArn' and 'kinds': a queue has one kind, choose one of both."
        )
    if parsed.destination_arn is None:
        return
    if parsed.queue_arn is None:
        raise InvalidInput(
            "The input has a 'destinationArn' and no 'queueArn': several queues cannot share a destination."
        )
    if parsed.destination_arn == parsed.queue_arn:
        raise InvalidInput("The input's 'destinationArn' is the dead-letter queue itself.")
    if ":sqs:" in parsed.destination_arn and is_fifo(parsed.destination_arn) != is_fifo(parsed.queue_arn):
        raise InvalidInput(
            "The input's 'destinationArn' must be a FIFO queue where 'queueArn' is one, and only there."
        )


def _kinds(value: Any) -> tuple[str, ...]:
    if value is None:
        return KINDS
    if not isinstance(value, list) or not value or any(one not in KINDS for one in value):
        raise InvalidInput(f"The input's 'kinds' must be a list of any of {', '.join(KINDS)}.")
    return tuple(one for one in KINDS if one in value)


def _mode(value: Any) -> str | None:
    if value is not None and value not in _MODES:
        raise InvalidInput("The input's 'mode' must be 'bulk' or 'counted'.")
    return None if value is None else str(value)


def _queue(field: str, value: Any, home: Home) -> str | None:
    if value is None:
        return None
    _require_home(field, _arn(field, value, "sqs"), home)
    return str(value)


def _destination(value: Any, home: Home) -> str | None:
    if value is None:
        return None
    found = parse_arn(value)
    service = "lambda" if found is not None and found.service == "lambda" else "sqs"
    _require_home("destinationArn", _arn("destinationArn", value, service), home)
    return str(value)


def _arn(field: str, value: Any, service: str) -> Arn:
    found = parse_arn(value)
    if found is None or found.service != service:
        raise InvalidInput(f"The input's {field!r} must be the ARN of a queue.")
    return found


def _require_home(field: str, arn: Arn, home: Home) -> None:
    for part, found, wanted in (
        ("partition", arn.partition, home.partition),
        ("region", arn.region, home.region),
        ("account", arn.account, home.account),
    ):
        if found != wanted:
            raise InvalidInput(f"The input's {field!r} is of another {part} than the hub, which is {wanted}.")


def _queue_of_alarm(event: Mapping[str, Any], home: Home) -> str:
    """The queue whose depth an alarm watches."""
    for metric in _metrics(event):
        name = metric.get("dimensions", {}).get("QueueName") if isinstance(metric, dict) else None
        if isinstance(name, str) and name:
            return home.queue_arn(name)
    raise InvalidInput("The input is an alarm's event that names no queue in the dimensions of its metrics.")


def _metrics(event: Mapping[str, Any]) -> list[Any]:
    try:
        return [one["metricStat"]["metric"] for one in event["detail"]["configuration"]["metrics"]]
    except (KeyError, TypeError):
        return []
