"""Condition keys of a write to S3 that say with which key it is encrypted.

AWS documentation: «Actions, resources, and condition keys for Amazon S3» (Service Authorization Reference),
`s3:x-amz-server-side-encryption-aws-kms-key-id`, `s3:x-amz-server-side-encryption-customer-algorithm`. Both
are what the request's header says, and absent where it has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

HEADERS = (
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
)


def with_encryption_keys(context_of: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """ministack's condition keys of a request to S3, with those of these headers."""

    def context(
        action: str,
        query: Mapping[str, Any] | None,
        path: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        found = context_of(action, query, path, headers)
        if action == "s3:PutObject":
            given = {name.lower(): value for name, value in (headers or {}).items()}
            found = {**found, **{f"s3:{name}": given[name] for name in HEADERS if given.get(name)}}
        return found

    return context
