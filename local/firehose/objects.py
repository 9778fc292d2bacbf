"""Objects as Firehose stores them: many records each, converted and named."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from local.firehose import metrics
from local.firehose.conversion import NO_TABLE, table_failure, to_parquet
from local.firehose.destinations import Destination
from local.firehose.partitions import error_prefix, object_name, object_prefix
from local.firehose.records import Buffer, Failure, Transformed
from local.firehose.services import Services


class NoPrefix(ValueError):
    """The stream's prefix cannot be evaluated; its records wait until it is mended."""


@dataclass(frozen=True)
class Stored:
    """Objects, the bytes in them, and the records that are not in them."""

    objects: int
    size: int
    failed: Sequence[tuple[Transformed, Failure]] = ()


@dataclass(frozen=True)
class Objects:
    """Stores the objects of one destination."""

    destination: Destination
    services: Services
    now: Callable[[], float]

    def store(self, kind: str, name: str, buffer: Buffer) -> Stored:
        """Store the buffer's records: as data below the prefix `name`, or as errors of type `name`.

        Raises Undelivered where a service refuses, NoPrefix for a prefix that cannot be evaluated.
        """
        records: Sequence[Transformed] = buffer.entries
        arrival = buffer.first_arrival
        if kind == "error":
            prefix = error_prefix(self.destination, name, arrival)
            return self._put(prefix, arrival, b"".join(record.data for record in records), "")
        prefix = name if self.destination.partitioned else object_prefix(self.destination, arrival)
        if self.destination.conversion is not None:
            return self._converted(prefix, arrival, records)
        delimiter = self.destination.delimiter
        body = b"".join(record.data + delimiter for record in records)
        if self.destination.configuration.get("CompressionFormat") == "GZIP":
            return self._put(prefix, arrival, gzip.compress(body), ".gz")
        return self._put(prefix, arrival, body, "")

    def _converted(self, prefix: str | None, arrival: float, records: Sequence[Transformed]) -> Stored:
        conversion = self.destination.conversion
        assert conversion is not None
        columns = self.services.columns(self.destination)
        if not columns:
            failed = [(record, self._told(NO_TABLE)) for record in records]
            self._count(0, len(failed))
            return Stored(0, 0, failed)
        converted = to_parquet(conversion, columns, records)
        failed = [(record, self._told(failure)) for record, failure in converted.failed]
        stored = Stored(0, 0)
        if converted.body is not None:
            stored = self._put(prefix, arrival, converted.body, ".parquet")
        self._count(len(records) - len(failed), len(failed))
        return Stored(stored.objects, stored.size, failed)

    def _put(self, prefix: str | None, arrival: float, body: bytes, extension: str) -> Stored:
        if prefix is None:
            raise NoPrefix("S3.InvalidPrefix")
        name = object_name(self.destination, arrival, str(uuid.uuid4()))
        extension = self.destination.configuration.get("FileExtension") or extension
        self.services.put_object(self.destination, f"{prefix}{name}{extension}", body)
        return Stored(1, len(body))

    def _told(self, failure: Failure) -> Failure:
        assert self.destination.conversion is not None
        return table_failure(
            self.destination.conversion, failure, self.destination.account_id, self.destination.region
        )

    def _count(self, succeeded: int, failed: int) -> None:
        metrics.put(self.destination, SucceedConversion__Records=succeeded, FailedConversion__Records=failed)
