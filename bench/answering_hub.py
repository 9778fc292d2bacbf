"""AWS as the functions meet it in the run that the sample events tell of, without the work that it does.

Every call has its answer ready, and nothing changes: each start of a function finds the same run and the same
dead letter.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from healthlake_export.ledger import LedgerItem
from healthlake_export.task_callbacks import attempt_of
from local.testing.mocked_hub import STACK
from local.testing.run_of_noon import FIRST_ID, JOB, PATIENTS, PATIENTS_KEY, SECOND_ID, STORE
from local.testing.sample_events import sample

HOST = "127.0.0.1"
RUN = "run-of-noon"
EXECUTION = f"arn:aws:states:us-east-1:123456789012:execution:healthlake-hub-export:{RUN}"
TASK_TOKEN = "AQCEAAAAKgAAAAMAAAAAAAAAAeTaskTokenOfTheRunOfNoon"  # noqa: S105
RANGE = sample("healthlake_export/range_of_patients")["range"]
REDRIVE = sample("dlq_redrive/dead_letters_planned")
DEAD_LETTERS = REDRIVE["queue"]
_DEAD_LETTER = "e2d6d2d5-0c2a-4d0f-9c4f-3a1f0e4d8b11"

PERSON = {
    "id": {"S": "6f1c2b7e-patient-0001"},
    "sk": {"S": "PATIENT"},
    "itemType": {"S": "Patient"},
    "familyName": {"S": "Müller"},
}

_LARGE_ROW = {
    "event_id": "6df5a90a72efe0dc43dd8a88d508a200",
    "change": "INSERT",
    "item_type": "Measurement",
    "item_id": "6f1c2b7e-patient-0001",
    "sk": "MEASUREMENT#8",
    "stream_label": "2026-11-20T08:00:00.000",
    "sequence_number": "4421584500000000017450439094",
    "event_time": "2026-11-20 12:00:04.000",
    "item": "{}",
    "old_item": None,
}

OBJECTS: Mapping[str, bytes] = {
    f"changes/rows/{_LARGE_ROW['event_id']}.json": json.dumps(_LARGE_ROW).encode(),
    PATIENTS_KEY: PATIENTS,
    f"runs/{RUN}/ranges.json": json.dumps([RANGE]).encode(),
    f"runs/{RUN}/published-ids/000000.bin": FIRST_ID + SECOND_ID,
    "runs/run-before-noon/published-ids.bin": FIRST_ID,
}

_LEDGER = LedgerItem(
    index=0,
    key=PATIENTS_KEY,
    etag=RANGE["etag"],
    start=0,
    end=len(PATIENTS),
    first_line_at=0,
    lines_end_at=len(PATIENTS),
    line_bytes=len(PATIENTS),
    blank_bytes=0,
    blank=0,
    lines=3,
    rows=1,
    published=1,
    batched=0,
    repeated=1,
    quarantined=1,
    withheld=0,
    lake_files=1,
    lake_rows=1,
    lake_bytes=1000,
    published_ids=2,
    completed_at="2026-03-01T12:05:00.000Z",
)
_OUTBOX = {"detailType": "ExportCompleted", "detail": {"runId": RUN, "endedAt": "2026-03-01T12:06:00.000Z"}}
_ALREADY_STARTED = {"jobId": JOB, "requestedAt": "2026-03-01T12:00:01.000Z"}

_ASSIGNED = re.compile(
    r"(?P<name>#?\w+) (?:= )?"
    r"(?:list_append\(if_not_exists\(#?\w+, :\w+\), |if_not_exists\(#?\w+, )?(?P<value>:\w+)"
)

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass(frozen=True)
class Hub:
    """What the services answer; `phase` is how far the run's export is."""

    phase: str
    _deleted: threading.Event = field(default_factory=threading.Event)

    def answer(self, method: str, target: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a request: `target` is the operation of services that name it in a header."""
        if target:
            service, _, operation = target.partition(".")
            content = self._operation(service.partition("_")[0], operation, json.loads(body))
            return 200, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(content).encode()
        path = unquote(urlsplit(url).path).strip("/")
        if "/r4/Patient/" in path:
            return _resource(method, body)
        if path.startswith("datastore/"):
            return 200, {"Content-Type": "application/json"}, json.dumps(_export_job(method)).encode()
        return _s3(method, path.partition("/")[2], headers)

    def _operation(self, service: str, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if service == "DynamoDB":
            return self._dynamodb(operation, request)
        if operation == "PutEvents":
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in request["Entries"]]}
        if service == "AmazonSQS":
            return self._sqs(operation, request)
        if operation == "DescribeExecution":
            return {"executionArn": EXECUTION, "status": "ABORTED", "startDate": 1772366400.0}
        return {"ExportJobPropertiesList": []} if operation == "ListFHIRExportJobs" else {}

    def _sqs(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """After the dead letter was deleted the queue is empty once, and has it again for the next start."""
        if operation == "SendMessageBatch":
            return {"Successful": [_taken(entry) for entry in request["Entries"]], "Failed": []}
        if operation == "SendMessage":
            digest = hashlib.md5(request["MessageBody"].encode(), usedforsecurity=False).hexdigest()
            return {"MessageId": "1", "MD5OfMessageBody": digest}
        if operation == "ListQueues":
            return {"QueueUrls": [DEAD_LETTERS["queueUrl"]]}
        if operation == "ListQueueTags":
            return {"Tags": {"redrive-kind": "sqs", "redrive-stack": STACK}}
        if operation == "GetQueueAttributes":
            return {"Attributes": {"QueueArn": DEAD_LETTERS["queueArn"], "ApproximateNumberOfMessages": "1"}}
        if operation == "DeleteMessage":
            self._deleted.set()
        if operation != "ReceiveMessage":
            return {}
        if self._deleted.is_set():
            self._deleted.clear()
            return {}
        return {"Messages": [_dead_letter()]}

    def _dynamodb(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "GetItem":
            key = request["Key"]["sk"]["S"]
            if key == "LOCK":
                return {"Item": {"owner": {"S": REDRIVE["owner"]}}}
            return {"Item": self._state()} if key == "STATE" else {}
        if operation == "UpdateItem" and request.get("ReturnValues", "NONE") != "NONE":
            return {"Attributes": _written(request)}
        if operation != "Query":
            return {}
        asked = json.dumps(request["ExpressionAttributeValues"])
        items: list[Mapping[str, Any]] = []
        if "OUTBOX#" in asked:
            items = [{"sk": {"S": RUN}, "event": {"S": json.dumps(_OUTBOX)}}]
        elif '"PATIENT"' in asked:
            items = [PERSON]
        elif "RANGE#" in asked:
            items = [_LEDGER.to_item()]
        return {"Items": items, "Count": len(items), "ScannedCount": len(items)}

    def _state(self) -> Mapping[str, Any]:
        attributes = {"owner": EXECUTION, "runId": RUN, "phase": self.phase}
        if self.phase == "EXPORTING":
            attributes |= {**_ALREADY_STARTED, "attempt": attempt_of(TASK_TOKEN), "taskToken": TASK_TOKEN}
        return {name: {"S": value} for name, value in attributes.items()}


def _written(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The item that an update makes where none is yet, of expressions such as the functions have."""
    names, values = request.get("ExpressionAttributeNames", {}), request["ExpressionAttributeValues"]
    found = [(one["name"], one["value"]) for one in _ASSIGNED.finditer(request["UpdateExpression"])]
    return {**request["Key"], **{names.get(name, name): values[value] for name, value in found}}


def _taken(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    digest = hashlib.md5(entry["MessageBody"].encode(), usedforsecurity=False).hexdigest()
    return {"Id": entry["Id"], "MessageId": "1", "MD5OfMessageBody": digest, "SequenceNumber": "1"}


def _resource(method: str, body: bytes) -> Answer:
    """A patient that is not there yet."""
    if method == "PUT":
        return 201, {"Content-Type": "application/fhir+json", "ETag": 'W/"1"'}, body
    return 404, {"Content-Type": "application/fhir+json"}, b'{"resourceType": "OperationOutcome"}'


def _dead_letter() -> Mapping[str, Any]:
    body, sent = json.dumps({"executionArn": EXECUTION, "attempt": 1}), str(round(time.time() * 1000))
    return {
        "MessageId": _DEAD_LETTER,
        "ReceiptHandle": "1",
        "Body": body,
        "MD5OfBody": hashlib.md5(body.encode(), usedforsecurity=False).hexdigest(),
        "Attributes": {
            "SentTimestamp": sent,
            "ApproximateFirstReceiveTimestamp": sent,
            "DeadLetterQueueSourceArn": DEAD_LETTERS["sources"][0],
        },
    }


def _export_job(method: str) -> Mapping[str, Any]:
    if method == "POST":
        return {"datastoreId": STORE, "jobId": JOB, "jobStatus": "SUBMITTED"}
    return {
        "exportJobProperties": {"jobId": JOB, "jobStatus": "COMPLETED"},
        "output": [{"type": "Patient", "url": f"s3://hub-bucket/{PATIENTS_KEY}"}],
        "error": [],
    }


def _s3(method: str, key: str, headers: Mapping[str, str]) -> Answer:
    if method in ("PUT", "DELETE"):
        return (200 if method == "PUT" else 204), {"ETag": '"0"'}, b""
    if not key:
        return 200, {"Content-Type": "application/xml"}, _LISTING.encode()
    content = OBJECTS[key]
    tags = {"ETag": RANGE["etag"], "Content-Type": "application/octet-stream"}
    asked = headers.get("Range")
    if asked is None:
        return 200, tags, content
    first, _, last = asked.removeprefix("bytes=").partition("-")
    part = content[int(first) : int(last) + 1]
    end = int(first) + len(part) - 1
    return 206, {**tags, "Content-Range": f"bytes {first}-{end}/{len(content)}"}, part


_LISTING = f"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>hub-bucket</Name><KeyCount>1</KeyCount>
<IsTruncated>false</IsTruncated><Contents><Key>{PATIENTS_KEY}</Key><Size>{len(PATIENTS)}</Size>
<ETag>{RANGE["etag"].replace('"', "&quot;")}</ETag></Contents></ListBucketResult>"""


@contextmanager
def answering(hub: Hub) -> Iterator[int]:
    """Serve the hub on a free port of 127.0.0.1; yields the port."""

    class Service(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            target = self.headers.get("X-Amz-Target", "")
            headers = dict(self.headers.items())
            status, answered, content = hub.answer(self.command, target, self.path, headers, body)
            self.send_response(status)
            for name, value in answered.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Say nothing of requests."""

    with ThreadingHTTPServer((HOST, 0), Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
