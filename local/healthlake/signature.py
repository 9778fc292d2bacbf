"""Signature Version 4 of a request, checked with botocore's own signer.

AWS General Reference, "Signature Version 4 signing process". A request without a signature, for another
service, or signed too long ago is refused like on AWS. With known secret keys the signature itself is
recomputed; without them (the default of a server that runs alone) any well-formed signature is accepted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local.healthlake.errors import AccessRefusedError
from local.healthlake.http_types import Request

ALLOWED_SKEW = timedelta(minutes=5)

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<headers>[a-z0-9;\-]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class SignatureCheck:
    """Refuses requests that are not signed for HealthLake; `secrets` maps access key ids to secret keys."""

    secrets: Mapping[str, str] | None = None

    def check(self, request: Request, now: datetime) -> str:
        """The access key id of the caller; AccessRefusedError otherwise."""
        header = request.headers.get("authorization", "")
        if not header:
            raise AccessRefusedError("MissingAuthenticationTokenException", "Missing Authentication Token")
        match = _AUTHORIZATION.fullmatch(header.strip())
        if match is None:
            raise AccessRefusedError(
                "IncompleteSignatureException", "Authorization header is not a Signature Version 4 header."
            )
        if match["service"] != "healthlake":
            raise AccessRefusedError(
                "InvalidSignatureException", "Credential should be scoped to correct service: 'healthlake'."
            )
        _check_time(request, match["date"], now)
        self._check_signature(request, match)
        return match["key"]

    def _check_signature(self, request: Request, match: re.Match[str]) -> None:
        stated = request.headers.get("x-amz-content-sha256", "")
        body_differs = len(stated) == 64 and stated != hashlib.sha256(request.body).hexdigest()
        if self.secrets is None:
            if body_differs:
                raise _mismatch()
            return
        secret = self.secrets.get(match["key"])
        if secret is None:
            raise AccessRefusedError(
                "UnrecognizedClientException", "The security token included in the request is invalid."
            )
        if body_differs or _signature_of(request, match, secret) != match["signature"]:
            raise _mismatch()


def _mismatch() -> AccessRefusedError:
    return AccessRefusedError(
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. Check your "
        "AWS Secret Access Key and signing method. Consult the service documentation for details.",
    )


def _check_time(request: Request, scope_date: str, now: datetime) -> None:
    stamp = request.headers.get("x-amz-date", "")
    try:
        signed_at = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise AccessRefusedError(
            "IncompleteSignatureException", "The request needs an X-Amz-Date header."
        ) from None
    if not stamp.startswith(scope_date) or abs(now - signed_at) > ALLOWED_SKEW:
        raise AccessRefusedError(
            "InvalidSignatureException",
            "Signature expired, not yet current, or dated otherwise than its scope.",
        )


def _signature_of(request: Request, match: re.Match[str], secret: str) -> str:
    query = f"?{request.raw_query}" if request.raw_query else ""
    signed = {name: request.headers.get(name, "") for name in match["headers"].split(";")}
    rebuilt = AWSRequest(
        request.method,
        f"http://{request.headers.get('host', '')}{request.raw_path}{query}",
        headers=signed,
        data=request.body,
    )
    if "x-amz-content-sha256" in request.headers:
        rebuilt.headers.replace_header("x-amz-content-sha256", request.headers["x-amz-content-sha256"])
    rebuilt.context["timestamp"] = request.headers["x-amz-date"]
    signer = SigV4Auth(Credentials(match["key"], secret), match["service"], match["region"])
    canonical = signer.canonical_request(rebuilt)
    return str(signer.signature(signer.string_to_sign(rebuilt, canonical), rebuilt))
