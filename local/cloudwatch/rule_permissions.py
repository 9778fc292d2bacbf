"""What a permission to list the targets of a rule is asked for: the rule.

AWS documentation: «Actions, resources, and condition keys for Amazon EventBridge» (Service Authorization
Reference). ministack takes the rule from a name that this request does not have.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

_OPERATION = "AWSEvents.ListTargetsByRule"
_DEFAULT = "default"


def rule_of_targets(shipped: Callable[..., str]) -> Callable[..., str]:
    """`extract_resource_arn` of ministack, which knows the rule that targets are listed of."""

    def resource_arn(
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        query: Any,
        region: str,
        account: str,
    ) -> str:
        if service != "events" or headers.get("x-amz-target") != _OPERATION:
            return shipped(service, method, path, headers, body, query, region, account)
        asked = _document(body)
        bus = str(asked.get("EventBusName") or _DEFAULT).rpartition("/")[2]
        place = f"{bus}/" if bus != _DEFAULT else ""
        return f"arn:aws:events:{region}:{account}:rule/{place}{asked.get('Rule', '')}"

    return resource_arn


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
