"""Faults by the names that retriers and catchers know them by, raised where a task calls its service.

An error of the service is one of the service's client; an error of a function is Lambda's answer with the
error's type. The engine names both as it names real ones.
AWS documentation: "Handling errors in Step Functions workflows", "Lambda function errors in Python".
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from local.stepfunctions.mending.service_errors import OPTIMIZED, sdk_error_names
from local.stepfunctions.workbench_faults import CallFaults, Fault

UNFORESEEN = "Unforeseen"
"""An error that nothing names; States.ALL stands for it."""

_ENDPOINT = "https://service.us-east-1.amazonaws.com/"
_BASES = {names.prefix: names.base for names in OPTIMIZED.values()}


def fault(error: str, resource: str, faults: CallFaults) -> Fault:
    """The fault under which a task with that resource fails with that error."""
    if error in ("States.Timeout", "States.HeartbeatTimeout"):
        return faults.hang if error == "States.Timeout" else unheard
    is_function = ":lambda:" in resource
    if error == "States.ALL":
        error = UNFORESEEN if is_function else f"{_prefix(resource)}.{UNFORESEEN}Exception"
    if is_function and error == "Lambda.Unknown":
        return function_error({"errorMessage": "RequestId: 0 Error: Runtime exited"})
    if is_function and not error.startswith("Lambda."):
        return function_error({"errorType": error, "errorMessage": "A sentence for people."})
    return refusal(error)


def function_error(payload: Any) -> Fault:
    """A function that ends with this error object."""

    def answer(_call: Callable[[], Any]) -> Any:
        body = io.BytesIO(json.dumps(payload).encode())
        return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": body}

    return answer


def refusal(error: str) -> Fault:
    """A call that the service refuses, or does not answer, under a name such as `SQS.SdkClientException`."""
    prefix, _, name = error.partition(".")

    def refuse(_call: Callable[[], Any]) -> Any:
        raise _exception(prefix, name)

    return refuse


def unheard(_call: Callable[[], Any]) -> Any:
    """A call that the service takes and loses: nobody answers the task's token."""
    return {"MessageId": "lost", "StatusCode": 200, "Payload": io.BytesIO(b"null")}


def answer_lost(after: Fault) -> Fault:
    """A call that does its work, whose answer is lost."""

    def lose(call: Callable[[], Any]) -> Any:
        call()
        return after(call)

    return lose


def _prefix(resource: str) -> str:
    service = resource.split(":::")[1].split(":")
    if service[0] == "aws-sdk":
        return sdk_error_names(service[1]).prefix
    known = {"dynamodb": "DynamoDB", "sqs": "SQS", "sns": "SNS", "events": "EventBridge", "s3": "S3"}
    return known[service[0]]


def _exception(prefix: str, name: str) -> Exception:
    if name == "SdkClientException":
        return EndpointConnectionError(endpoint_url=_ENDPOINT)
    if (prefix, name) == ("Lambda", "ClientExecutionTimeoutException"):
        return ReadTimeoutError(endpoint_url=_ENDPOINT)
    unmodelled = name == _BASES.get(prefix, f"{prefix}Exception")
    kind: type[ClientError] = ClientError if unmodelled else type(name, (ClientError,), {})
    answer: Any = {
        "Error": {"Code": name, "Message": "refused"},
        "ResponseMetadata": {"HTTPStatusCode": 500, "RequestId": "00000000"},
    }
    return kind(answer, "Call")
