"""The evaluated prefix that a record is partitioned by.

AWS documentation: «Understand partitioning keys», «Understand custom prefixes for Amazon S3 objects».
"""

from __future__ import annotations

import time

from local.account.ministack_names import ministack
from local.firehose.destinations import Destination
from local.firehose.records import Transformed

HOURS = "yyyy/MM/dd/HH/"
PARTITION_LIMIT = 500
"""Active partitions of a stream, unless AWS has raised its quota."""


def partition_prefix(destination: Destination, record: Transformed) -> str | None:
    """The prefix of the record's object, or None where a key that the prefix names is missing.

    Keys are all there is in it; only the prefix of a stream without partitions gets the hour appended.
    """
    firehose = ministack("ministack.services.firehose")
    config = destination.configuration
    try:
        queried = firehose._metadata_extraction_keys(config, record.data)
        arrived = time.gmtime(record.original.arrival)
        template = config.get("Prefix", "")
        prefix: str = firehose._evaluate_prefix(template, arrived, queried, record.partition_keys)
        appended = "" if "!{timestamp:" in template else firehose._java_time(HOURS, arrived)
    except firehose._DeliveryError:
        return None
    return prefix.removesuffix(appended)


def object_prefix(destination: Destination, arrival: float) -> str | None:
    """The prefix of an object of a stream without partitions, whose oldest record arrived then."""
    firehose = ministack("ministack.services.firehose")
    try:
        prefix: str = firehose._evaluate_prefix(
            destination.configuration.get("Prefix", ""), time.gmtime(arrival)
        )
    except firehose._DeliveryError:
        return None
    return prefix


def error_prefix(destination: Destination, kind: str, arrival: float) -> str | None:
    """The prefix of an error object; without one of its own it is the stream's, with the type after it."""
    firehose = ministack("ministack.services.firehose")
    arrived = time.gmtime(arrival)
    given = destination.configuration.get("ErrorOutputPrefix")
    try:
        if given:
            evaluated: str = firehose._evaluate_prefix(given, arrived, error_type=kind)
            return evaluated
        hours: str = firehose._java_time(HOURS, arrived)
    except firehose._DeliveryError:
        return None
    return f"{destination.configuration.get('Prefix', '')}{kind}/{hours}"


def object_name(destination: Destination, arrival: float, token: str) -> str:
    """The part of the key after the prefix."""
    moment = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(arrival))
    return f"{destination.stream_name}-{destination.version}-{moment}-{token}"
