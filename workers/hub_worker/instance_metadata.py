"""What EC2 tells an instance of its end: spot interruptions, rebalance recommendations, terminations of its
group.

Follows the Amazon EC2 User Guide, «Use the Instance Metadata Service to access instance metadata» (IMDSv2),
«Spot Instance interruption notices» and «EC2 instance rebalance recommendations», and the Amazon EC2 Auto
Scaling User Guide, «Retrieve the target lifecycle state through instance metadata».
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException

TOKEN_SECONDS = 21_600
ANSWER_SECONDS = 2.0
_TOKEN = "/latest/api/token"  # noqa: S105 - a path
_DATA = "/latest/meta-data"
_NOT_FOUND = 404
_UNAUTHORIZED = 401

UNREACHABLE = (OSError, HTTPException, ValueError)
"""What a look raises that got no answer, or none that can be read."""


@dataclass(frozen=True)
class Notice:
    """Why the instance will end. `at` is when, where that is told."""

    reason: str
    at: datetime | None = None


class InstanceMetadata:
    """The metadata service at `endpoint`, with a token that is asked for when it is needed."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._token = ""
        # No proxy: the service is on the instance itself.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def notice(self) -> Notice | None:
        """The most pressing notice there is; raises one of UNREACHABLE."""
        action = self._read("/spot/instance-action")
        if action is not None:
            document = json.loads(action)
            at = datetime.fromisoformat(str(document["time"])) if "time" in document else None
            if at is not None and at.tzinfo is None:
                raise ValueError("a time without an offset")
            return Notice("spot-interruption", at)
        if self._read("/autoscaling/target-lifecycle-state") == "Terminated":
            return Notice("group-terminates")
        if self._read("/events/recommendations/rebalance") is not None:
            return Notice("rebalance-recommendation")
        return None

    def instance_id(self) -> str:
        """The instance's id; raises one of UNREACHABLE."""
        found = self._read("/instance-id")
        if not found:
            raise ValueError("no instance id")
        return found

    def _read(self, path: str) -> str | None:
        """What is at a path, None where there is nothing. A token that has expired is replaced once."""
        for fresh in (False, True):
            if fresh or not self._token:
                headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(TOKEN_SECONDS)}
                self._token = self._ask("PUT", _TOKEN, headers)
            try:
                return self._ask("GET", _DATA + path, {"X-aws-ec2-metadata-token": self._token})
            except urllib.error.HTTPError as error:
                if error.code == _NOT_FOUND:
                    return None
                if error.code != _UNAUTHORIZED or fresh:
                    raise
        return None

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> str:
        request = urllib.request.Request(self._endpoint + path, method=method, headers=headers)  # noqa: S310
        with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
            text: str = answer.read().decode()
            return text.strip()
