"""AWS as the range function meets it, without a network: real botocore clients, whose requests are answered
at the point where they would go out, and counted."""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.session
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from urllib3.response import HTTPResponse

EVENT_CHUNK_BYTES = 64 * 1024

_UPLOAD = b"<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>"
_UPLOADED = b'<CompleteMultipartUploadResult><ETag>"etag"</ETag></CompleteMultipartUploadResult>'
_S3 = {"CreateMultipartUpload": _UPLOAD, "CompleteMultipartUpload": _UPLOADED}


@dataclass
class AnsweringAws:
    """Answers every request of `session`: reads of the exported `file`, the ids of the run before
    (`previous_ids`), the lock's `owner`; whatever is written is accepted.

    `operations` counts requests by `service operation`, `written` the bytes of objects by bucket. With
    `looks_into_events` the events are counted by what EventBridge bills, which takes time.
    """

    file: Path
    previous_ids: bytes
    owner: str
    looks_into_events: bool = False
    operations: Counter[str] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    event_chunks: int = 0

    def answer_for(self, session: botocore.session.Session) -> None:
        """Answer what the clients of the session ask from now on."""
        session.register("before-send", self._answer)  # type: ignore[arg-type]

    def _answer(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        service, operation = event_name.split(".")[1:3]
        self.operations[f"{service} {operation}"] += 1
        if service == "s3":
            return self._of_s3(request, operation)
        if operation == "PutEvents":
            return self._of_bus(request)
        owner = {"Item": {"owner": {"S": self.owner}}}
        answers: dict[str, Any] = {"GetItem": owner, "Query": {"Items": [], "Count": 0}}
        return _answered(request, json.dumps(answers.get(operation, {})).encode())

    def _of_s3(self, request: AWSPreparedRequest, operation: str) -> AWSResponse:
        if operation == "GetObject":
            first, last = (int(part) for part in _text(request.headers["Range"])[6:].split("-"))
            content = self._content(request.url, first, last)
            headers = {"Content-Range": f"bytes {first}-{first + len(content) - 1}/{last + 1}"}
            return _answered(request, content, 206, headers)
        body = request.body or b""
        size = len(body) if isinstance(body, bytes | bytearray) else _size_of(body)
        self.written[request.url.split("://")[1].split("/")[0].split(".")[0]] += size
        return _answered(request, _S3.get(operation, b""), headers={"ETag": '"etag"'})

    def _content(self, url: str, first: int, last: int) -> bytes:
        if "/exports/" not in url:
            return self.previous_ids[first : last + 1]
        with self.file.open("rb") as exported:
            exported.seek(first)
            return exported.read(last + 1 - first)

    def _of_bus(self, request: AWSPreparedRequest) -> AWSResponse:
        body: Any = request.body
        entries = body.count(b'"DetailType":')
        if self.looks_into_events:
            told = json.loads(body)["Entries"]
            self.event_chunks += sum(event_chunks(entry) for entry in told)
        accepted = b",".join([b'{"EventId":"accepted"}'] * entries)
        return _answered(request, b'{"FailedEntryCount":0,"Entries":[' + accepted + b"]}")


def event_chunks(entry: dict[str, str]) -> int:
    """What EventBridge bills for an entry: its size in chunks of 64 KB, begun ones included.

    «Amazon EventBridge pricing»; size as in «Calculating PutEvents event entry size».
    """
    size = sum(len(entry[part].encode()) for part in ("Source", "DetailType", "Detail"))
    return math.ceil(size / EVENT_CHUNK_BYTES)


def _answered(
    request: AWSPreparedRequest, body: bytes, status: int = 200, headers: dict[str, str] | None = None
) -> AWSResponse:
    told = {"Content-Length": str(len(body)), **(headers or {})}
    raw = HTTPResponse(io.BytesIO(body), told, status, preload_content=False)
    return AWSResponse(request.url, status, told, raw)  # type: ignore[arg-type]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _size_of(body: Any) -> int:
    """The bytes left in a file-like body, which is read as a connection would."""
    return len(body.read())
