"""What a delivery stream's S3 destination is configured to do.

AWS documentation: Amazon Data Firehose API Reference, «ExtendedS3DestinationConfiguration», «Processor».
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEBIBYTE = 1 << 20
DEFAULT_SIZE_MB, DEFAULT_INTERVAL_SECONDS = 5.0, 300.0
TRANSFORM_SIZE_MB, TRANSFORM_INTERVAL_SECONDS, TRANSFORM_RETRIES = 1.0, 60.0, 3

Configuration = Mapping[str, Any]


@dataclass(frozen=True)
class Hints:
    """When a buffer is full: bytes, and seconds since its first record."""

    size: int
    interval: float


@dataclass(frozen=True)
class Transformation:
    """The function that records pass through; it is tried `retries` times more where it fails."""

    function_arn: str
    retries: int
    hints: Hints


@dataclass(frozen=True)
class Destination:
    """An S3 destination of a stream; `configuration` is what nothing else here says."""

    stream_arn: str
    stream_name: str
    version: int
    bucket_arn: str
    role_arn: str
    hints: Hints
    transformation: Transformation | None
    partitioned: bool
    conversion: Configuration | None
    configuration: Configuration

    @property
    def bucket(self) -> str:
        return self.bucket_arn.rpartition(":")[2]

    @property
    def region(self) -> str:
        return self.stream_arn.split(":")[3]

    @property
    def account_id(self) -> str:
        return self.stream_arn.split(":")[4]

    @property
    def delimiter(self) -> bytes:
        """What is put after each record; Firehose puts nothing unless it is asked to."""
        for processor in processors(self.configuration, "AppendDelimiterToRecord"):
            return processor.get("Delimiter", "\\n").encode().decode("unicode_escape").encode()
        return b""


def destination_of(stream: Configuration, destination: Configuration) -> Destination:
    """The destination as ministack keeps it, with the defaults of AWS."""
    config = destination["config"]
    conversion = config.get("DataFormatConversionConfiguration") or {}
    partitioning = config.get("DynamicPartitioningConfiguration") or {}
    return Destination(
        stream_arn=stream["arn"],
        stream_name=stream["name"],
        version=stream.get("version", 1),
        bucket_arn=config["BucketARN"],
        role_arn=config.get("RoleARN", ""),
        hints=_hints(config.get("BufferingHints") or {}, DEFAULT_SIZE_MB, DEFAULT_INTERVAL_SECONDS),
        transformation=_transformation(config),
        partitioned=_is_true(partitioning.get("Enabled", False)),
        conversion=conversion if conversion and _is_true(conversion.get("Enabled", True)) else None,
        configuration=config,
    )


def processors(config: Configuration, kind: str) -> list[dict[str, str]]:
    """The parameters of each enabled processor of a type."""
    processing = config.get("ProcessingConfiguration") or {}
    if not _is_true(processing.get("Enabled", False)):
        return []
    return [
        {str(given["ParameterName"]): str(given["ParameterValue"]) for given in one.get("Parameters") or []}
        for one in processing.get("Processors") or []
        if one.get("Type") == kind
    ]


def _transformation(config: Configuration) -> Transformation | None:
    for given in processors(config, "Lambda"):
        size = float(given.get("BufferSizeInMBs", TRANSFORM_SIZE_MB))
        interval = float(given.get("BufferIntervalInSeconds", TRANSFORM_INTERVAL_SECONDS))
        return Transformation(
            function_arn=given["LambdaArn"],
            retries=int(given.get("NumberOfRetries", TRANSFORM_RETRIES)),
            hints=Hints(int(size * MEBIBYTE), interval),
        )
    return None


def _hints(given: Configuration, size_mb: float, interval: float) -> Hints:
    size = float(given.get("SizeInMBs", size_mb))
    return Hints(int(size * MEBIBYTE), float(given.get("IntervalInSeconds", interval)))


def _is_true(value: object) -> bool:
    """Templates hand booleans on as text."""
    return value is True or str(value).lower() == "true"
