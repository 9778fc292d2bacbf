"""Signed requests to the FHIR REST API of a HealthLake datastore, which boto3 does not know.

AWS HealthLake Developer Guide, «Managing FHIR resources in AWS HealthLake» (REST, signed with Signature
Version 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import (
    BotoCoreError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    SSLError,
)
from botocore.httpsession import URLLib3Session

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_healthlake import HealthLakeClient

SERVICE = "healthlake"
CONNECT_SECONDS = 5
READ_SECONDS = 15
TIMEOUT_SECONDS = CONNECT_SECONDS + READ_SECONDS
"""How long an answer is waited for at most."""

_NOT_SENT = (ConnectTimeoutError, EndpointConnectionError, SSLError)

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Unreachable(Exception):
    """No answer came. The message is the kind of failure; `sent` says whether the request may have arrived,
    or may still."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class NoCredentials(Exception):
    """There is nothing to sign requests with."""


@dataclass(frozen=True)
class HttpAnswer:
    """Status, headers by lower-case name, and content of an answer."""

    status: int
    content: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)


class HealthLakeHttp:
    """Sends requests below the `r4/` of one datastore, each once."""

    def __init__(self, session: Session, client: HealthLakeClient, datastore_id: str) -> None:
        self._session = session
        self._client = client
        self._datastore_id = datastore_id
        # A pair is taken, as clients give one; the stubs know of one number alone.
        self._http = URLLib3Session(timeout=(CONNECT_SECONDS, READ_SECONDS))  # type: ignore[arg-type]

    def exchange(
        self, method: str, path: str, content: bytes = b"", headers: Mapping[str, str] = _NO_HEADERS
    ) -> HttpAnswer:
        """The answer to one request; `path` is encoded as it is to be signed. Raises `Unreachable` and
        `NoCredentials`."""
        base = self._client.meta.endpoint_url.rstrip("/")
        request = AWSRequest(
            method=method,
            url=f"{base}/datastore/{quote(self._datastore_id)}/r4/{path}",
            data=content,
            headers={"Content-Type": "application/fhir+json", **headers},
        )
        credentials = self._session.get_credentials()
        if credentials is None:
            raise NoCredentials
        SigV4Auth(credentials, SERVICE, self._client.meta.region_name).add_auth(request)
        try:
            answer = self._http.send(request.prepare())
            # The content is read here, and may break off.
            status, found = answer.status_code, answer.content
        except (HTTPClientError, BotoCoreError) as error:
            reason, sent = type(error).__name__, not isinstance(error, _NOT_SENT)
        else:
            return HttpAnswer(status, found, {name.lower(): one for name, one in answer.headers.items()})
        raise Unreachable(reason, sent=sent)
