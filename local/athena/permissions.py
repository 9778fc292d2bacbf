"""What a permission about a query is asked for: the workgroup that the query runs in.

AWS documentation: «Actions, resources, and condition keys for Amazon Athena».
ministack takes the workgroup from the request, and what asks for an execution names none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from local.account.ministack_names import ministack


def workgroup_of_execution(shipped: Callable[..., str]) -> Callable[..., str]:
    """`extract_resource_arn` of ministack, which knows the workgroup of a QueryExecutionId."""

    def resource_arn(
        service: str, method: str, path: str, headers: Any, body: bytes, query: Any, region: str, account: str
    ) -> str:
        found = shipped(service, method, path, headers, body, query, region, account)
        if service != "athena" or found != "*":
            return found
        execution = ministack("ministack.services.athena")._executions.get(_execution_id(body))
        if execution is None:
            return found
        return f"arn:aws:athena:{region}:{account}:workgroup/{execution['WorkGroup']}"

    return resource_arn


def _execution_id(body: bytes) -> str | None:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return None
    return document.get("QueryExecutionId") if isinstance(document, dict) else None
