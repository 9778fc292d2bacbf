"""An instance metadata service as an EC2 instance has it, which takes tokens only (IMDSv2).

Follows the Amazon EC2 User Guide, «Use the Instance Metadata Service to access instance metadata».
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

from local.testing.http_service import served

DATA = "/latest/meta-data"


@dataclass
class FakeInstance:
    """What the instance is told. `tokens` are those that are valid; a test may take them away."""

    endpoint: str = ""
    data: dict[str, str] = field(default_factory=lambda: {"/instance-id": "i-0123456789abcdef0"})
    tokens: set[str] = field(default_factory=set)
    asked_for_tokens: int = 0
    failing: bool = False

    def interrupt(self, seconds: float = 120, now: datetime | None = None) -> None:
        """Give the notice of a spot interruption in `seconds`."""
        at = (now or datetime.now(UTC)) + timedelta(seconds=seconds)
        document = {"action": "terminate", "time": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        self.data["/spot/instance-action"] = json.dumps(document)

    def recommend_rebalance(self) -> None:
        """Recommend to leave before an interruption comes."""
        self.data["/events/recommendations/rebalance"] = '{"noticeTime": "2026-11-21T08:22:00Z"}'

    def terminate(self) -> None:
        """Let the group terminate the instance."""
        self.data["/autoscaling/target-lifecycle-state"] = "Terminated"


@contextmanager
def fake_instance() -> Iterator[FakeInstance]:
    """A service on a free port of this machine."""
    instance = FakeInstance()

    class Service(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
            if self.path != "/latest/api/token" or not ttl.isdigit() or not 1 <= int(ttl) <= 21_600:
                self._answer(400, "")
                return
            instance.asked_for_tokens += 1
            token = f"token-{instance.asked_for_tokens}"
            instance.tokens.add(token)
            self._answer(200, token)

        def do_GET(self) -> None:
            if instance.failing:
                self._answer(500, "")
            elif self.headers.get("X-aws-ec2-metadata-token") not in instance.tokens:
                self._answer(401, "")
            else:
                found = instance.data.get(self.path.removeprefix(DATA))
                self._answer(404 if found is None else 200, found or "")

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    with served(Service) as endpoint:
        instance.endpoint = endpoint
        yield instance
