"""S3 behind a relay that a test can hold, so that something is in the middle of reading an object."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from local.account.settings import HOST
from local.testing.http_service import served

WAIT_SECONDS = 20.0


@dataclass(frozen=True)
class HeldS3:
    """Answers everything but GET at once. `reached` is set by the first GET, and `go_on` lets all of them
    go."""

    endpoint: str
    reached: threading.Event
    go_on: threading.Event


@contextmanager
def held_s3(port: int) -> Iterator[HeldS3]:
    """A relay in front of the account at `port` of this machine, which must not check signatures."""
    reached, go_on = threading.Event(), threading.Event()

    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._relay()

        def do_GET(self) -> None:
            reached.set()
            go_on.wait(WAIT_SECONDS)
            self._relay()

        def _relay(self) -> None:
            connection = http.client.HTTPConnection(HOST, port, timeout=WAIT_SECONDS)
            connection.request(self.command, self.path, headers=dict(self.headers))
            answer = connection.getresponse()
            body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            connection.close()

    with served(Relay) as endpoint:
        try:
            yield HeldS3(endpoint, reached, go_on)
        finally:
            go_on.set()
