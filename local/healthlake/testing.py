"""HealthLake alone on 127.0.0.1, for tests: a threaded HTTP server, a clock and a pace in the test's hands.

It works beside moto's mock_aws: requests to it are real HTTP, while `put_object` runs in the test's
process and can store into the mocked S3.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from local.healthlake.catalog import Datastore
from local.healthlake.clock import Clock, SystemClock
from local.healthlake.export_files import PutObject
from local.healthlake.export_queue import Pace
from local.healthlake.faults import Faults
from local.healthlake.http_types import Request, Response
from local.healthlake.job_events import DeliverEvent, Event
from local.healthlake.service import DEFAULT_FILE_SIZE, HealthLakeService, ServiceConfig
from local.healthlake.signature import SignatureCheck
from local.healthlake.testing_client import FhirClient

FAST = Pace(submitted=0.002, in_progress=0.002, cancel=0.002)


class MemoryObjects:
    """Objects of a S3 that is only a dictionary of (bucket, key); `roles` holds the role that wrote each."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.roles: dict[tuple[str, str], str] = {}

    def put(self, bucket: str, key: str, body: bytes, role_arn: str) -> None:
        """Store an object."""
        self.objects[bucket, key] = body
        self.roles[bucket, key] = role_arn

    def list_keys(self, bucket: str, prefix: str, role_arn: str) -> Iterable[str]:  # noqa: ARG002
        """Keys under a prefix."""
        return [key for owner, key in sorted(self.objects) if owner == bucket and key.startswith(prefix)]

    def get(self, bucket: str, key: str, role_arn: str) -> bytes:  # noqa: ARG002
        """An object's bytes."""
        return self.objects[bucket, key]


@dataclass(frozen=True)
class SignatureOnly:
    """Lets every caller with a proper signature do everything."""

    signatures: SignatureCheck

    def authenticate(self, request: Request) -> None:
        """Refuse a request that is not signed."""
        self.signatures.check(request, datetime.now(UTC))

    def authorize(self, request: Request, action: str, resource_arn: str) -> None:
        """Allow."""

    def authorize_role(self, request: Request, role_arn: str, datastore_arn: str) -> None:
        """Allow."""


class HealthLakeServer:
    """A context manager around a served emulator.

    `put_object(bucket, key, body, role_arn)` stores exported files (default: `objects`, in memory).
    `on_event(event)` gets every event in EventBridge's form; all are kept in `events` too.
    `pace` None leaves the jobs to `step()`.
    `secrets` (access key id to secret key) has signatures recomputed; without it well-formed ones pass.
    """

    def __init__(
        self,
        *,
        on_event: DeliverEvent | None = None,
        put_object: PutObject | None = None,
        clock: Clock | None = None,
        pace: Pace | None = FAST,
        file_size: int = DEFAULT_FILE_SIZE,
        directory: Path | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self.objects = MemoryObjects()
        self.events: list[Event] = []
        self._on_event = on_event
        self._temporary = tempfile.TemporaryDirectory() if directory is None else None
        root = directory if directory is not None else Path(self._temporary.name if self._temporary else "")
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self.service = HealthLakeService(
            ServiceConfig(
                directory=root,
                base_url=self.url,
                put_object=put_object or self.objects.put,
                object_reader=self.objects,
                deliver_event=self._deliver,
                authorizer=SignatureOnly(SignatureCheck(secrets)),
                clock=clock or SystemClock(),
                pace=pace,
                file_size=file_size,
            )
        )
        self._http.answer = self.service.handle
        self._thread = threading.Thread(
            target=self._http.serve_forever,
            kwargs={"poll_interval": 0.02},
            name="healthlake-http",
            daemon=True,
        )

    @property
    def faults(self) -> Faults:
        """Faults on request."""
        return self.service.faults

    def create_datastore(self, name: str = "test") -> Datastore:
        """A new datastore, without a call over HTTP."""
        return self.service.datastores.create({"DatastoreName": name})

    def client(self, datastore: Datastore | None = None) -> FhirClient:
        """A signing client of a datastore, of a new one unless given."""
        return FhirClient((datastore or self.create_datastore()).endpoint)

    def step(self) -> list[tuple[str, str]]:
        """Move every job one state on; returns (job id, new status) of the export jobs that moved."""
        return self.service.step()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()
        self._thread.join(timeout=10)
        self.service.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _deliver(self, event: Event) -> None:
        self.events.append(event)
        if self._on_event is not None:
            self._on_event(event)


class _Server(ThreadingHTTPServer):
    """Has a thread for each connection, which clients keep open; `close` ends them."""

    answer: Callable[[Request], Response]

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: dict[threading.Thread, Any] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, in a thread of its own, until its client or `close` ends it."""
        thread = threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name="healthlake-connection",
            daemon=True,
        )
        self._connections = {live: at for live, at in self._connections.items() if live.is_alive()}
        self._connections[thread] = request
        thread.start()

    def close(self) -> None:
        """Take no more requests, and answer those that have come."""
        self.shutdown()
        self.server_close()
        for request in self._connections.values():
            with suppress(OSError):  # its client has gone
                request.shutdown(socket.SHUT_RD)
        for thread in self._connections:
            thread.join(timeout=10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small answers go out at once instead of waiting for the client's acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        if hasattr(socket, "TCP_QUICKACK"):
            # Clients that send headers and body apart wait for this acknowledgement, 40 ms if it is delayed.
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        raw_path, _, raw_query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        request = Request(self.command, unquote(raw_path), raw_path, raw_query, headers, body)
        response = self.server.answer(request)
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""
