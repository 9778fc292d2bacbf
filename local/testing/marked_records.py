"""Marked records, and a witness that looks for their marks wherever resource content must not stand.

The witness stands below the handlers and everything else in the process that calls AWS, from entry to exit
of its context. It keeps what they print and log, the metrics among it, what X-Ray would be sent, and every
parameter of every call but the bodies of objects and events about resources: table items, keys and metadata
of objects, messages with their attributes, answers of callbacks.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import boto3
import botocore.client
import botocore.endpoint
import pytest
from aws_lambda_powertools import Tracer
from aws_xray_sdk import global_sdk_config
from aws_xray_sdk.core import lambda_launcher, patcher, xray_recorder
from botocore.client import BaseClient

from common import observability
from local.testing.export_hub import ExportHub
from local.testing.mocked_hub import BUCKET, REGION, TABLE

MARK = "MARKEDq7z"
"""Begins every mark; what follows says where it was put."""

TRACE = "Root=1-69200000-000000000000000000000001;Parent=0000000000000001;Sampled=1"

Fault = Callable[[str, str], Exception | None]
"""The error of a call, by the function that makes it and its operation; None lets it through."""


def mark(where: str) -> str:
    """A mark that is a FHIR id as well."""
    return f"{MARK}-{where}"


def _forms(word: str) -> Iterator[str]:
    """The word as text, and as what base64 makes of it at each of the three places it can begin at."""
    yield word
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + word.encode()).decode().rstrip("=")
        yield encoded[-(-before * 8 // 6) : len(word) * 8 // 6 - 1]


MARKS = re.compile("|".join(re.escape(form) for form in _forms(MARK)))


class Witness:
    """Keeps what leaves the process; `fault` may let calls of functions fail. See the module's docstring."""

    def __init__(self, hub: ExportHub, output: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = pytest.MonkeyPatch()
        self._hub = hub
        self._output = output
        self._printed = io.StringIO()
        self._function = threading.local()
        self.calls: list[tuple[str, str]] = []
        self.traces: list[str] = []
        self.fault: Fault = lambda _function, _operation: None

    def __enter__(self) -> Self:
        self._handler = logging.StreamHandler(self._printed)
        logging.getLogger().addHandler(self._handler)
        self._watch_calls()
        self._switch_tracing_on()
        # A service of its own gives a logger of its own, which writes to the output of this test.
        self._hub.configure(POWERTOOLS_SERVICE_NAME=f"witness-{id(self)}", POWERTOOLS_LOG_LEVEL="DEBUG")
        _forget_tools()
        for name, handler in list(self._hub.bench.functions.items()):
            self._hub.bench.functions[name] = self._named(name, handler)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        self._monkeypatch.undo()
        global_sdk_config.set_sdk_enabled(self._traced_before)
        for enabled in [name for name in vars(botocore.client) if name == "_xray_enabled"]:
            delattr(botocore.client, enabled)
        patcher._PATCHED_MODULES.discard("botocore")
        _forget_tools()

    @property
    def printed(self) -> str:
        """Everything on standard output and error: logs and metrics."""
        captured = self._output.readouterr()
        self._printed.write(captured.out + captured.err)
        return self._printed.getvalue()

    def leaks(self) -> list[str]:
        """Every place with a mark in it that is neither the body of an object nor an event about a
        resource, with what stands around the mark."""
        return [
            f"{place}: {content[max(0, found.start() - 80) : found.end() + 80]}"
            for place, content in self._places()
            if (found := MARKS.search(content))
        ]

    def _places(self) -> Iterator[tuple[str, str]]:
        yield from (("log", line) for line in self.printed.splitlines())
        yield from (("trace", one) for one in self.traces)
        yield from self.calls
        bench = self._hub.bench
        for call in bench.invocations:
            yield f"invocation of {call.function}", json.dumps([call.event, call.result, call.error])
        for execution in bench.engine.executions():
            yield "execution", repr([execution.input_text, execution.output_text])
            yield "execution", repr([execution.error, execution.cause])
            yield from (("history", repr(event)) for event in execution.events)
        for event in [*bench.events, *bench.status_events]:
            if not event["detail-type"].startswith("FhirResource"):
                yield event["detail-type"], json.dumps(event)
        yield from _stored()

    def _watch_calls(self) -> None:
        """Replaced by the test's own patch, so that undoing it takes X-Ray's patch away too."""
        make_call = BaseClient._make_api_call  # type: ignore[attr-defined]

        def call(client: Any, operation: str, request: Any) -> Any:
            function = self._calling()
            self.calls.append((f"{function} calls {operation}", repr(_without_bodies(operation, request))))
            error = self.fault(function, operation)
            if error is not None:
                raise error
            return make_call(client, operation, request)

        prepare = botocore.endpoint.Endpoint.prepare_request
        self._monkeypatch.setattr(botocore.endpoint.Endpoint, "prepare_request", prepare)
        self._monkeypatch.setattr(BaseClient, "_make_api_call", call)

    def _calling(self) -> str:
        """The function whose thread this is; the threads that publish belong to one."""
        if threading.current_thread().name.startswith("put-events"):
            return "ProcessRangeFunction"
        return str(getattr(self._function, "name", "the state machine"))

    def _switch_tracing_on(self) -> None:
        patch = self._monkeypatch
        patch.setenv("POWERTOOLS_TRACE_DISABLED", "false")
        patch.setenv("LAMBDA_TASK_ROOT", "/var/task")
        patch.setenv("_X_AMZN_TRACE_ID", TRACE)
        # A tracer made outside of Lambda before, by another test, is off for good and for all.
        patch.setattr(Tracer, "_config", dict(Tracer._default_config))
        self._traced_before = global_sdk_config.sdk_enabled()
        global_sdk_config.set_sdk_enabled(True)
        patch.setattr(xray_recorder, "_context", lambda_launcher.LambdaContext())
        patch.setattr(xray_recorder, "_emitter", self)

    def send_entity(self, entity: Any) -> None:
        """What the X-Ray SDK calls to send a segment or subsegment."""
        self.traces.append(entity.serialize())

    def _named(self, name: str, handler: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def named(event: Any, context: Any) -> Any:
            self._function.name = name
            try:
                return handler(event, context)
            finally:
                del self._function.name

        return named


def _without_bodies(operation: str, request: Mapping[str, Any]) -> Any:
    """A call's parameters without what may hold content: bodies of objects, details about resources."""
    if operation == "PutEvents":
        about_runs = [
            {**entry, "Detail": ""} if entry["DetailType"].startswith("FhirResource") else entry
            for entry in request["Entries"]
        ]
        return {**request, "Entries": about_runs}
    if operation in ("PutObject", "UploadPart"):
        return {name: value for name, value in request.items() if name != "Body"}
    return request


def _stored() -> Iterator[tuple[str, str]]:
    """Items of the table, and keys, metadata and tags of objects."""
    items = boto3.client("dynamodb", REGION).get_paginator("scan").paginate(TableName=TABLE)
    yield from (("table item", repr(item)) for page in items for item in page["Items"])
    s3 = boto3.client("s3", REGION)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            yield "object key", entry["Key"]
            head = s3.head_object(Bucket=BUCKET, Key=entry["Key"])
            yield "object metadata", repr([head["Metadata"], head.get("ContentType"), head.get("TagCount")])


def _forget_tools() -> None:
    for tool in (observability.logger, observability.metrics, observability.tracer):
        tool.cache_clear()
