"""In-memory stand-ins for the services that process a byte range: no sockets, and quick enough for
property tests."""

from __future__ import annotations

import hashlib
import io
import json
from functools import lru_cache
from typing import Any

from botocore.exceptions import ClientError

_MOST_PARTS = 10_000


def refusal(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


@lru_cache(maxsize=2)
def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


class FakeS3:
    """Objects of one bucket, with the operations that the data path uses."""

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.reads: list[tuple[str, str]] = []
        self.aborted: list[str] = []
        self._uploads: dict[str, dict[int, bytes]] = {}

    def etag(self, key: str) -> str:
        return _etag(self.objects[key])

    def get_object(self, **request: Any) -> dict[str, Any]:
        self.reads.append((request["Key"], request["Range"]))
        content = self._content(request["Key"], request.get("IfMatch"), "GetObject")
        start, stop = self._extent(request["Range"])
        part = content[start:stop]
        return {"Body": io.BytesIO(part), "ContentRange": f"bytes {start}-{stop - 1}/{len(content)}"}

    def put_object(self, **request: Any) -> dict[str, str]:
        self.objects[request["Key"]] = request["Body"]
        return {}

    def create_multipart_upload(self, **request: Any) -> dict[str, str]:
        self._uploads[request["Key"]] = {}
        return {"UploadId": request["Key"]}

    def delete_object(self, **request: Any) -> None:
        self.objects.pop(request["Key"], None)

    def upload_part(self, **request: Any) -> dict[str, str]:
        assert 1 <= request["PartNumber"] <= _MOST_PARTS
        self._uploads[request["UploadId"]][request["PartNumber"]] = request["Body"]
        return {"ETag": str(request["PartNumber"])}

    def upload_part_copy(self, **request: Any) -> dict[str, Any]:
        content = self._content(request["CopySource"]["Key"], request["CopySourceIfMatch"], "UploadPartCopy")
        start, stop = self._extent(request["CopySourceRange"])
        self._uploads[request["UploadId"]][request["PartNumber"]] = content[start:stop]
        return {"CopyPartResult": {"ETag": str(request["PartNumber"])}}

    def complete_multipart_upload(self, **request: Any) -> dict[str, str]:
        parts = self._uploads.pop(request["UploadId"])
        numbers = [part["PartNumber"] for part in request["MultipartUpload"]["Parts"]]
        assert numbers == sorted(numbers), "S3 takes the parts in their order"
        self.objects[request["Key"]] = b"".join(parts[number] for number in numbers)
        return {}

    def abort_multipart_upload(self, **request: Any) -> None:
        self.aborted.append(request["Key"])
        self._uploads.pop(request["UploadId"])

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
    """PutEvents that accepts everything but resources whose id has an error code in `refused`."""

    def __init__(self) -> None:
        self.entries: list[dict[str, str]] = []
        self.refused: dict[str, str] = {}

    def put_events(self, *, Entries: list[dict[str, str]]) -> dict[str, Any]:  # noqa: N803
        return {"Entries": [self._answer(entry) for entry in Entries]}

    def _answer(self, entry: dict[str, str]) -> dict[str, str]:
        code = self.refused.get(json.loads(entry["Detail"])["meta"].get("id"))
        if code is not None:
            return {"ErrorCode": code, "ErrorMessage": "no"}
        self.entries.append(entry)
        return {"EventId": "accepted"}


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
        self.reads: list[dict[str, Any]] = []
        self.queries: list[dict[str, Any]] = []

    def get_item(self, **request: Any) -> dict[str, Any]:
        self.reads.append(request)
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

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        self.queries.append(request)
        values = request["ExpressionAttributeValues"]
        run = values.get(":run", values.get(":erased"))["S"]
        return [{"Items": [self.items[key]]} for key in sorted(self.items) if key[0] == run]


FakeTable.exceptions.TransactionCanceledException = FakeTable.TransactionCanceledException  # type: ignore[attr-defined]
