"""Whether the worker gets on: told at 127.0.0.1 to whoever asks, and to systemd's watchdog.

Follows sd_notify(3) and systemd.service(5), «WatchdogSec=», of systemd.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOST = "127.0.0.1"


class Health:
    """The signs of progress that loop and job give, from whichever thread they are read."""

    def __init__(self, stuck_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._stuck_seconds = stuck_seconds
        self._clock = clock
        self._last_sign = clock()
        self.state = "starting"
        self.jobs = 0

    def sign(self, state: str | None = None) -> None:
        """Note that the worker gets on, and what it does if that is another thing than before."""
        self._last_sign = self._clock()
        if state is not None:
            self.state = state

    @property
    def stuck(self) -> bool:
        """Whether the last sign is too long ago."""
        return self._clock() - self._last_sign > self._stuck_seconds

    def document(self) -> dict[str, object]:
        """What is told: state, jobs since the start, seconds since the last sign."""
        return {
            "state": "stuck" if self.stuck else self.state,
            "jobs": self.jobs,
            "secondsSinceProgress": round(self._clock() - self._last_sign, 1),
        }


def serve(health: Health, port: int) -> ThreadingHTTPServer:
    """Answer GET /health with 200, or 503 when the worker is stuck; returns the server, which has its
    port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/health"
            status = (503 if health.stuck else 200) if known else 404
            body = json.dumps(health.document() if known else {}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests for health are not worth a line each."""

    server = ThreadingHTTPServer((HOST, port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server


def tell_systemd(state: str, variables: Mapping[str, str] = os.environ) -> bool:
    """Send a state such as READY=1 to systemd; returns whether it listens."""
    address = variables.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
        notify.sendto(state.encode(), address)
    return True


def feed_watchdog(health: Health, stop: threading.Event, variables: Mapping[str, str] = os.environ) -> None:
    """Tell systemd twice in each of its watchdog's times that the worker is well, for as long as it is."""
    microseconds = variables.get("WATCHDOG_USEC", "")
    if not microseconds.isdigit():
        return
    while not stop.wait(int(microseconds) / 2_000_000):
        if not health.stuck:
            tell_systemd("WATCHDOG=1", variables)
