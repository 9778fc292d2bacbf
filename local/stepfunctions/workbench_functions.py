"""Python handlers called as AWS Lambda calls them: JSON in, JSON out, exceptions as function errors.

AWS documentation: "Lambda function errors in Python", "Invoke" (API reference), "AWS Lambda context object
in Python".
"""

from __future__ import annotations

import io
import json
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

Handler = Callable[[Any, Any], Any]

_MAX_RESPONSE_BYTES = 6 * 1024 * 1024


@dataclass(frozen=True)
class Invocation:
    """One call of a function: `error` is its Lambda error payload (errorType, errorMessage, ...) or None."""

    function: str
    event: Any
    result: Any
    error: dict[str, Any] | None


@dataclass(frozen=True)
class LambdaContext:
    """What a handler gets as its second argument."""

    function_name: str
    aws_request_id: str
    ends_at: float
    region: str
    account: str
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "512"

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """The function's log group."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """A log stream of its own for each request."""
        return f"[{self.function_version}]{self.aws_request_id}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function would time out."""
        return max(int((self.ends_at - time.monotonic()) * 1000), 0)


class ResourceNotFoundException(ClientError):
    """Lambda's refusal of a function that does not exist."""


class Functions:
    """Calls handlers by function name or ARN; also stands in for a boto3 Lambda client."""

    def __init__(
        self,
        handlers: MutableMapping[str, Handler],
        *,
        region: str,
        account: str,
        timeout_seconds: float = 900.0,
        on_call: Callable[[], None] = lambda: None,
    ) -> None:
        self._handlers = handlers
        self._region = region
        self._account = account
        self._timeout_seconds = timeout_seconds
        self._on_call = on_call
        self._lock = threading.Lock()
        self._invocations: list[Invocation] = []
        self._under_way: Counter[str] = Counter()

    def under_way(self, function: str) -> int:
        """How many calls of a function have not returned yet."""
        with self._lock:
            return self._under_way[function]

    @property
    def invocations(self) -> list[Invocation]:
        """Every call that has returned, in the order in which they did."""
        with self._lock:
            return list(self._invocations)

    def call(self, function: str, payload: bytes | str) -> Invocation:
        """Call the handler with the payload as Lambda would. Raises ResourceNotFoundException."""
        name = self._name_of(function)
        event = json.loads(payload)
        request_id = str(uuid.uuid4())
        context = LambdaContext(
            name, request_id, time.monotonic() + self._timeout_seconds, self._region, self._account
        )
        function = name.rsplit(":", 1)[-1]
        with self._lock:
            self._under_way[function] += 1
        try:
            result, error = _run(self._handlers[name], event, context)
            invocation = Invocation(function, json.loads(payload), result, error)
        finally:
            with self._lock:
                self._under_way[function] -= 1
        with self._lock:
            self._invocations.append(invocation)
        self._on_call()
        return invocation

    def invoke(self, FunctionName: str, Payload: bytes | str = b"{}", **_: Any) -> dict[str, Any]:  # noqa: N803
        """boto3's `invoke` of the Lambda client."""
        invocation = self.call(FunctionName, Payload)
        body = invocation.result if invocation.error is None else invocation.error
        answer = {
            "StatusCode": 200,
            "ExecutedVersion": "$LATEST",
            "Payload": io.BytesIO(json.dumps(body).encode()),
        }
        return answer if invocation.error is None else {**answer, "FunctionError": "Unhandled"}

    def _name_of(self, function: str) -> str:
        name = function.removesuffix(":$LATEST")
        for candidate in (name, name.rsplit(":", 1)[-1]):
            if candidate in self._handlers:
                return candidate
        refusal: Any = {
            "Error": {"Code": "ResourceNotFoundException", "Message": f"Function not found: {function}"},
            "ResponseMetadata": {"HTTPStatusCode": 404, "RequestId": str(uuid.uuid4())},
        }
        raise ResourceNotFoundException(refusal, "Invoke")


def _run(handler: Handler, event: Any, context: LambdaContext) -> tuple[Any, dict[str, Any] | None]:
    try:
        answer = handler(event, context)
    except Exception as failure:
        frames = traceback.format_tb(failure.__traceback__)[1:]
        return None, _error(type(failure).__name__, str(failure), context, frames)
    try:
        text = json.dumps(answer)
    except (TypeError, ValueError) as failure:
        message = f"Unable to marshal response: {failure}"
        return None, _error("Runtime.MarshalError", message, context, [])
    if len(text.encode()) > _MAX_RESPONSE_BYTES:
        message = (
            f"Response payload size exceeded maximum allowed payload size ({_MAX_RESPONSE_BYTES} bytes)."
        )
        return None, _error("Function.ResponseSizeTooLarge", message, context, [])
    return json.loads(text), None


def _error(kind: str, message: str, context: LambdaContext, frames: list[str]) -> dict[str, Any]:
    return {
        "errorMessage": message,
        "errorType": kind,
        "requestId": context.aws_request_id,
        "stackTrace": frames,
    }
