"""A client of the FHIR REST API for tests: signs with botocore, answers with status, headers and body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

ROLE_ARN = "arn:aws:iam::000000000000:role/data-access"
EXAMPLE_CREDENTIALS = Credentials("AKIDEXAMPLE", "example-secret")
_NO_HEADERS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Answer:
    """What the server answered; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        """Diagnostics of an OperationOutcome."""
        document = self.document
        assert document["resourceType"] == "OperationOutcome"
        text: str = document["issue"][0]["diagnostics"]
        return text


class FhirClient:
    """Signed requests to one datastore's endpoint."""

    def __init__(self, endpoint: str, credentials: Credentials = EXAMPLE_CREDENTIALS) -> None:
        self.endpoint = endpoint
        self._credentials = credentials
        self._http = URLLib3Session(timeout=30)

    def send(
        self,
        method: str,
        path: str,
        body: bytes | Mapping[str, Any] = b"",
        headers: Mapping[str, str] = _NO_HEADERS,
        service: str = "healthlake",
    ) -> Answer:
        """One request to a path below the endpoint, or to a whole URL."""
        url = path if path.startswith("http://") else f"{self.endpoint}{path}"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = AWSRequest(method, url, {"content-type": "application/fhir+json", **headers}, data)
        SigV4Auth(self._credentials, service, "us-east-1").add_auth(request)
        return self.transmit(request)

    def transmit(self, request: AWSRequest) -> Answer:
        """Send a request as it is."""
        response = self._http.send(request.prepare())
        lowered = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status_code, lowered, response.content)

    def put(self, resource_type: str, resource_id: str, **members: Any) -> Answer:
        """Store a small resource under an id."""
        resource = {"resourceType": resource_type, "id": resource_id, **members}
        return self.send("PUT", f"{resource_type}/{resource_id}", resource)

    def start_export(self, query: str = "", scope: str = "", **changes: Any) -> Answer:
        """POST $export; `scope` such as Patient/ goes before it, `changes` replace members of the body."""
        body = {
            "JobName": "run",
            "OutputDataConfig": {
                "S3Configuration": {"S3Uri": "s3://hub-bucket/exports/run", "KmsKeyId": "alias/hub"}
            },
            "DataAccessRoleArn": ROLE_ARN,
        }
        body = {name: value for name, value in {**body, **changes}.items() if value is not None}
        path = f"{scope}$export" + (f"?{query}" if query else "")
        return self.send("POST", path, body, {"Prefer": "respond-async"})
