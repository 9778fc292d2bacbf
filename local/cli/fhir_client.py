"""Requests to the FHIR REST API of a datastore: SigV4, kept-alive connections, retries when it is busy."""

import http.client
import random
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.account.state_file import RunningAccount

FHIR_JSON = "application/fhir+json"
BUSY = (429, 503)
ATTEMPTS = 6
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Answer:
    """An answer of the FHIR API: status, and the body as text."""

    status: int
    body: bytes

    def document(self) -> Any:
        return msgspec.json.decode(self.body) if self.body else None


class FhirClient:
    """A client of one datastore, for use from several threads."""

    def __init__(self, account: RunningAccount, endpoint: str) -> None:
        address = urlsplit(endpoint)
        # the datastore's path holds; host and port are the account's, whatever the endpoint was named
        self._path = address.path.rstrip("/") + "/"
        self._origin = urlsplit(account.endpoint)
        self._credentials = Credentials(account.access_key_id, account.secret_access_key)
        self._region = account.region
        self._connections = threading.local()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def put(self, path: str, body: bytes) -> Answer:
        return self.request("PUT", path, body)

    def batch(self, bundle: bytes) -> Answer:
        """Post a batch Bundle to the root of the datastore."""
        return self.request("POST", "", bundle)

    def request(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send one request; while the datastore is busy it is repeated with growing pauses."""
        for attempt in range(ATTEMPTS):
            answer = self._send(method, path, body)
            if answer.status not in BUSY:
                break
            time.sleep(random.uniform(0, 0.1 * 2**attempt))  # noqa: S311
        return answer

    def _send(self, method: str, path: str, body: bytes) -> Answer:
        target = f"{self._path}{path}"
        signed = AWSRequest(
            method=method,
            url=f"http://{self._origin.netloc}{target}",
            data=body,
            headers={"Content-Type": FHIR_JSON, "Accept": FHIR_JSON},
        )
        SigV4Auth(self._credentials, "healthlake", self._region).add_auth(signed)
        headers = dict(signed.headers.items())
        try:
            return self._exchange(method, target, body, headers)
        except (http.client.HTTPException, ConnectionError):
            # a kept connection that the server has closed meanwhile: once more on a new one
            self._forget_connection()
            return self._exchange(method, target, body, headers)

    def _exchange(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Answer:
        connection = getattr(self._connections, "kept", None)
        if connection is None:
            connection = http.client.HTTPConnection(
                self._origin.hostname or "", self._origin.port, timeout=TIMEOUT_SECONDS
            )
            self._connections.kept = connection
        connection.request(method, target, body=body, headers=headers)
        response = connection.getresponse()
        return Answer(response.status, response.read())

    def _forget_connection(self) -> None:
        connection = getattr(self._connections, "kept", None)
        if connection is not None:
            connection.close()
            self._connections.kept = None
