"""The services behind the range function, in its own process and without a network: S3 as a file that is read
and one that is written, a table that says yes, and EventBridge below the whole of botocore."""

from __future__ import annotations

import io
import os
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.awsrequest import AWSHTTPConnection, AWSHTTPConnectionPool
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

OWNER = "arn:aws:states:us-east-1:123456789012:execution:export:bench"

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_EVENT_ID = "11710aed-b79e-4468-a20b-bb3c0c3b4860"


class FileS3:
    """One object that is the file `source`; what is written goes to the file `sink`, one after the other.
    Uploads cost no more than that: a real client would compute a checksum and encrypt."""

    def __init__(self, source: Path, sink: Path) -> None:
        self._source = os.open(source, os.O_RDONLY)
        self._sink = os.open(sink, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.written = 0

    def get_object(self, **request: Any) -> dict[str, Any]:
        found = _RANGE.fullmatch(request["Range"])
        assert found is not None
        first, last = int(found[1]), int(found[2])
        return {"Body": _Body(os.pread(self._source, last + 1 - first, first))}

    def put_object(self, **request: Any) -> dict[str, str]:
        self.written += os.write(self._sink, request["Body"])
        return {"ETag": "etag"}

    def create_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {"UploadId": "upload"}

    def upload_part(self, **request: Any) -> dict[str, str]:
        return self.put_object(**request)

    def complete_multipart_upload(self, **_: Any) -> dict[str, str]:
        return {"ETag": "etag"}

    def abort_multipart_upload(self, **_: Any) -> None:
        raise AssertionError("a benchmark writes what it began")

    def delete_object(self, **_: Any) -> None:
        """Nothing else is there."""

    def close(self) -> None:
        os.close(self._source)
        os.close(self._sink)


class _Body:
    """The body of an answer: read once, and not copied."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self) -> bytes:
        content, self._content = self._content, b""
        return content


class Table:
    """Says that the run owns its lock and that nobody was erased, and takes the ledger."""

    def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": {"owner": {"S": OWNER}}}

    def query(self, **_: Any) -> dict[str, Any]:
        return {"Items": [], "Count": 0}

    def get_paginator(self, _operation: str) -> Table:
        return self

    def paginate(self, **_: Any) -> list[dict[str, Any]]:
        return [self.query()]

    def transact_write_items(self, **_: Any) -> dict[str, Any]:
        return {}


def stubbed_events() -> EventBridgeClient:
    """A real client whose connections answer by themselves that every event was accepted. Everything above
    the socket is what runs on AWS, but for TLS."""
    client = boto3.client(
        "events",
        region_name="us-east-1",
        endpoint_url="http://events.invalid",
        aws_access_key_id="bench",
        aws_secret_access_key="bench",  # noqa: S106 - of no account
        config=Config(retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=16),
    )
    manager = cast(Any, client)._endpoint.http_session._manager
    manager.pool_classes_by_scheme = {"http": _AnsweringPool}
    return client


class _AnsweringSocket:
    """Takes a PutEvents request and answers it. `fileno` is that of a socket on which nothing arrives, so
    that a pool finds the connection alive."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self._sent.append(data)

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        entries = b"".join(self._sent).count(b'"EventBusName"')
        self._sent.clear()
        return io.BytesIO(_accepted(entries))

    def settimeout(self, _seconds: float | None) -> None:
        """Never waits."""

    def setsockopt(self, *_: Any) -> None:
        """Sends nothing."""

    def shutdown(self, _how: int) -> None:
        """Has nothing open."""

    def fileno(self) -> int:
        return self._near.fileno()

    def close(self) -> None:
        self._near.close()
        self._far.close()


def _accepted(entries: int) -> bytes:
    results = ",".join([f'{{"EventId":"{_EVENT_ID}"}}'] * entries)
    body = f'{{"Entries":[{results}],"FailedEntryCount":0}}'
    return (
        "HTTP/1.1 200 OK\r\n"
        f"x-amzn-RequestId: {_EVENT_ID}\r\n"
        "Content-Type: application/x-amz-json-1.1\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Date: Sat, 21 Nov 2026 10:00:00 GMT\r\n\r\n"
        f"{body}"
    ).encode()


class _AnsweringConnection(AWSHTTPConnection):
    def _new_conn(self) -> Any:
        return _AnsweringSocket()


class _AnsweringPool(AWSHTTPConnectionPool):
    ConnectionCls = _AnsweringConnection
