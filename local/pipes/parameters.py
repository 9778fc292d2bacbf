"""What a pipe is told of its source, enrichment and target, read from its record.

AWS documentation: Amazon EventBridge Pipes API Reference, «PipeSourceDynamoDBStreamParameters» and
«PipeTargetParameters»; Amazon EventBridge User Guide, «Amazon EventBridge Pipes batching and concurrency» and
«Dynamic path parameters» of «Amazon EventBridge Pipes event targets».
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local.pipes.json_paths import found_in, steps_of, text_of
from local.pipes.templates import Template
from local.streams.batches import Limits
from local.streams.filters import Filters
from local.streams.reader import ReaderSettings

Pipe = Mapping[str, Any]

DEFAULT_BATCH_SIZE = 1
MOST_IN_A_BATCH = {"events": 10, "firehose": 500, "kinesis": 500, "sns": 10, "sqs": 10}
"""By target: a pipe whose batches are larger is refused, and a target is not given more."""

BISECT = "AUTOMATIC_BISECT"


class ParametersRefused(ValueError):
    """What Pipes does not take."""


class PathNotFound(ValueError):
    """A dynamic path parameter that leads to nothing in an event."""

    def __init__(self, path: str) -> None:
        super().__init__(f"There is nothing at {path}.")


def service_of(arn: str) -> str:
    """The service of an ARN, empty for what is none."""
    parts = arn.split(":", 5)
    return parts[2] if len(parts) == 6 else ""


def source_parameters(pipe: Pipe) -> Mapping[str, Any]:
    """The parameters of a DynamoDB stream."""
    found: Mapping[str, Any] = (pipe.get("SourceParameters") or {}).get("DynamoDBStreamParameters") or {}
    return found


def target_parameters(pipe: Pipe, group: str) -> Mapping[str, Any]:
    """A group of the target's parameters."""
    found: Mapping[str, Any] = (pipe.get("TargetParameters") or {}).get(group) or {}
    return found


def reader_settings(pipe: Pipe) -> ReaderSettings:
    """How the pipe reads its stream."""
    source = source_parameters(pipe)
    return ReaderSettings(
        batch_size=int(source.get("BatchSize") or DEFAULT_BATCH_SIZE),
        window_seconds=float(source.get("MaximumBatchingWindowInSeconds") or 0),
        filters=Filters.of((pipe.get("SourceParameters") or {}).get("FilterCriteria")),
        limits=limits(source),
        running=pipe.get("CurrentState") == "RUNNING",
    )


def limits(source: Mapping[str, Any]) -> Limits:
    """How long the pipe tries; -1 is for ever, and so is what is not given."""
    retries = _bounded(source.get("MaximumRetryAttempts"))
    age = _bounded(source.get("MaximumRecordAgeInSeconds"))
    bisect = source.get("OnPartialBatchItemFailure") == BISECT
    return Limits(retries, None if age is None else float(age), bisect)


def check(pipe: Pipe) -> None:
    """Raise ParametersRefused, FilterRefused or PathRefused for what AWS refuses when a pipe is made."""
    settings = reader_settings(pipe)
    settings.filters.check()
    target = service_of(str(pipe.get("Target", "")))
    most = MOST_IN_A_BATCH.get(target)
    if most is not None and settings.batch_size > most:
        raise ParametersRefused(
            f"BatchSize {settings.batch_size} is larger than the {most} events that the target takes at once."
        )
    for value in _texts(pipe.get("TargetParameters") or {}):
        if value.startswith("$."):
            steps_of(value)


def template(pipe: Pipe, group: str) -> Template | None:
    """The input template of `EnrichmentParameters` or `TargetParameters`, if there is one."""
    text = (pipe.get(group) or {}).get("InputTemplate")
    if not text:
        return None
    variables = {
        "aws.pipes.pipe-arn": pipe["Arn"],
        "aws.pipes.pipe-name": pipe["Name"],
        "aws.pipes.source-arn": pipe["Source"],
        "aws.pipes.enrichment-arn": pipe.get("Enrichment") or "",
        "aws.pipes.target-arn": pipe["Target"],
    }
    return Template(text, variables)


def resolved(value: str, event: bytes) -> str:
    """A parameter for an event: what a dynamic path leads to, else the parameter; raises PathNotFound."""
    if not value.startswith("$."):
        return value
    found = found_in(event, value)
    if found is None:
        raise PathNotFound(value)
    return text_of(found)


def _bounded(value: Any) -> int | None:
    return None if value is None or int(value) < 0 else int(value)


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for name, one in value.items() if name != "InputTemplate" for text in _texts(one)]
    return [text for one in value for text in _texts(one)] if isinstance(value, list) else []
