"""In-memory stand-ins for the services that process a byte range: no sockets, and quick enough for
property tests. Fixtures give the classes, so that a property makes fresh ones for every example."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refusal(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


class FakeS3:
    """Objects of one bucket, with the operations that the data path uses."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.reads: list[tuple[str, str]] = []
        self.aborted: list[str] = []
        self._uploads: dict[str, dict[int, bytes]] = {}

    def etag(self, key: str) -> str:
        return f'"{hashlib.md5(self.objects[key]).hexdigest()}"'

    def get_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Range: str,  # noqa: N803
        IfMatch: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        self.reads.append((Key, Range))
        content = self._content(Key, IfMatch, "GetObject")
        start, stop = self._extent(Range)
        part = content[start:stop]
        return {"Body": io.BytesIO(part), "ContentRange": f"bytes {start}-{stop - 1}/{len(content)}"}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str = "") -> None:  # noqa: N803
        self.objects[Key] = Body

    def create_multipart_upload(self, *, Bucket: str, Key: str) -> dict[str, str]:  # noqa: N803
        self._uploads[Key] = {}
        return {"UploadId": Key}

    def upload_part_copy(self, **request: Any) -> dict[str, Any]:
        content = self._content(request["CopySource"]["Key"], request["CopySourceIfMatch"], "UploadPartCopy")
        start, stop = self._extent(request["CopySourceRange"])
        self._uploads[request["UploadId"]][request["PartNumber"]] = content[start:stop]
        return {"CopyPartResult": {"ETag": str(request["PartNumber"])}}

    def complete_multipart_upload(self, **request: Any) -> None:
        parts = self._uploads.pop(request["UploadId"])
        self.objects[request["Key"]] = b"".join(
            parts[part["PartNumber"]] for part in request["MultipartUpload"]["Parts"]
        )

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> None:  # noqa: N803
        self.aborted.append(Key)
        self._uploads.pop(UploadId)

    def _content(self, key: str, etag: str | None, operation: str) -> bytes:
        if key not in self.objects:
            raise refusal("NoSuchKey", operation)
        if etag is not None and etag != self.etag(key):
            raise refusal("PreconditionFailed", operation)
        return self.objects[key]

    @staticmethod
    def _extent(text: str) -> tuple[int, int]:
        first, last = text.removeprefix("bytes=").split("-")
        return int(first), int(last) + 1


class FakeBus:
    """PutEvents that accepts everything."""

    def __init__(self) -> None:
        self.entries: list[dict[str, str]] = []

    def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        self.entries += Entries
        return {"Entries": [{"EventId": "accepted"} for _ in Entries]}


class FakeTable:
    """The state item's owner and the ledger. `refusals` are the cancellation codes of the next calls."""

    class TransactionCanceledException(ClientError):
        pass

    class exceptions:  # noqa: N801 - the name on a client
        pass

    def __init__(self, owner: str, *refusals: str) -> None:
        self.owner = owner
        self.refusals = list(refusals)
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls = 0

    def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": {"owner": {"S": self.owner}}}

    def transact_write_items(self, *, TransactItems: list[dict[str, Any]]) -> None:  # noqa: N803
        self.calls += 1
        check, put = TransactItems[0]["ConditionCheck"], TransactItems[1]["Put"]["Item"]
        code = self.refusals.pop(0) if self.refusals else None
        if code is None and check["ExpressionAttributeValues"][":owner"]["S"] != self.owner:
            code = "ConditionalCheckFailed"
        if code is not None:
            raise self.TransactionCanceledException(
                {
                    "Error": {"Code": "TransactionCanceledException", "Message": "no"},
                    "CancellationReasons": [{"Code": code}, {"Code": "None"}],
                },
                "TransactWriteItems",
            )
        self.items[put["pk"]["S"], put["sk"]["S"]] = put

    def get_paginator(self, operation: str) -> FakeTable:
        assert operation == "query"
        return self

    def paginate(self, *, ExpressionAttributeValues: dict[str, Any], **_: Any) -> list[dict[str, Any]]:  # noqa: N803
        run = ExpressionAttributeValues[":run"]["S"]
        return [{"Items": [self.items[key]]} for key in sorted(self.items) if key[0] == run]


FakeTable.exceptions.TransactionCanceledException = FakeTable.TransactionCanceledException  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def fake_s3() -> type[FakeS3]:
    return FakeS3


@pytest.fixture(scope="session")
def fake_bus() -> type[FakeBus]:
    return FakeBus


@pytest.fixture(scope="session")
def fake_table() -> type[FakeTable]:
    return FakeTable
