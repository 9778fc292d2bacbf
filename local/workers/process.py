"""One worker as a process: started, watched, asked to drain, or killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from local.account.settings import HOST, without_foreign_variables

READY_SECONDS = 20.0
END_SECONDS = 20.0
Line = Mapping[str, Any]


class WorkerFailed(Exception):
    """A worker did not start, or did not end in time; the message has the last of what it wrote."""


class WorkerProcess:
    """A worker that runs the program in `root` with these settings, as its own process group.

    `heard` holds every line that it has written, metrics included, and `on_line` is called with each.
    """

    def __init__(
        self, root: Path, settings: Mapping[str, str], on_line: Callable[[Line], None] = lambda _line: None
    ) -> None:
        self.heard: list[Line] = []
        self._on_line = on_line
        self._arrived = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hub_worker"],
            env=without_foreign_variables(os.environ)
            | {"PYTHONPATH": str(root / "workers"), "PYTHONUNBUFFERED": "1"}
            | dict(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="worker-output", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def ready(self) -> Self:
        """Wait until the worker looks at the queue; raises WorkerFailed when it ends before."""
        self.wait_for("The worker is ready.", READY_SECONDS)
        return self

    def wait_for(self, message: str, seconds: float = END_SECONDS, **values: object) -> Line:
        """The first line with this message and these values, as soon as there is one; raises WorkerFailed."""
        deadline = time.monotonic() + seconds
        with self._arrived:
            while True:
                for line in self.heard:
                    if line.get("message") == message and values.items() <= line.items():
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or not (self._reader.is_alive() or self._arrived.wait(0.1)):
                    raise WorkerFailed(f"The worker did not say {message!r}. {self._last_words()}")
                self._arrived.wait(min(left, 0.5))

    def health(self) -> tuple[int, Mapping[str, Any]]:
        """Status and document of the health endpoint; raises WorkerFailed when the worker is not ready."""
        port = int(self.wait_for("The worker is ready.", READY_SECONDS)["port"])
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            return answer.status, json.load(answer)
        finally:
            connection.close()

    def drain(self) -> None:
        """Ask the worker to take nothing new and to end, as systemd does."""
        self.send(signal.SIGTERM)

    def kill(self) -> None:
        """End the worker where it stands, as a machine that is gone does."""
        self.send(signal.SIGKILL)
        self._process.wait()
        self._reader.join()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the worker, if it still runs."""
        if self.running:
            self._process.send_signal(number)

    def ended(self, seconds: float | None = END_SECONDS) -> int:
        """Wait for the worker's end, however long with None; returns its exit status. Raises WorkerFailed
        when it goes on."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise WorkerFailed(f"The worker has not ended. {self._last_words()}") from None
        self._reader.join()
        return status

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        with stream:
            for text in stream:
                try:
                    line = json.loads(text)
                except ValueError:
                    line = {"level": "ERROR", "message": text.rstrip("\n")}
                with self._arrived:
                    self.heard.append(line)
                    self._arrived.notify_all()
                self._on_line(line)

    def _last_words(self) -> str:
        return "\n".join(json.dumps(line) for line in self.heard[-10:])
