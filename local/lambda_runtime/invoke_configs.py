"""Where Lambda sends what a function was given asynchronously and failed on: asked as on AWS.

AWS documentation: «GetFunctionEventInvokeConfig» (AWS Lambda API Reference); «Actions, resources, and
condition keys for AWS Lambda» (Service Authorization Reference).
"""

from collections.abc import Callable, Mapping
from typing import Any

_LATEST = "$LATEST"
_ACTIONS = {
    "GET": "lambda:GetFunctionEventInvokeConfig",
    "PUT": "lambda:PutFunctionEventInvokeConfig",
    "POST": "lambda:UpdateFunctionEventInvokeConfig",
    "DELETE": "lambda:DeleteFunctionEventInvokeConfig",
}


def of_the_latest_version(shipped: Callable[..., Any]) -> Callable[..., Any]:
    """ministack's look into a function's configurations, for which no version is the latest one: that is
    how CloudFormation writes it, and how whoever names none asks for it."""

    def found(function: Mapping[str, Any], qualifier: str | None) -> Any:
        same = {None: _LATEST, "": _LATEST, _LATEST: ""}
        return shipped(function, qualifier) or (
            shipped(function, same[qualifier]) if qualifier in same else None
        )

    return found


def with_actions_of_invoke_configs(shipped: Callable[..., str | None]) -> Callable[..., str | None]:
    """What a request about such a configuration has to be allowed; ministack takes it for one about the
    function's code."""

    def iam_action(service: str, method: str, path: str, *rest: Any) -> str | None:
        action = shipped(service, method, path, *rest)
        return (
            _ACTIONS.get(method, action)
            if service == "lambda" and path.endswith("/event-invoke-config")
            else action
        )

    return iam_action
