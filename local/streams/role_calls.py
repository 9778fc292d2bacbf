"""Calls that a service of the local account makes as a role, within the account's process.

Where policies are enforced the role needs the right that AWS's page on the service names; what is lacking
fails the call as it does on AWS. AWS documentation: «Permissions for Amazon EventBridge Pipes to access
resources»; AWS Lambda Developer Guide, «Lambda event source mappings».
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from local.account.ministack_names import ministack
from local.account.role_sessions import role_session

READING_A_STREAM = (
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
)
"""What a reader needs to be allowed on a stream."""

_LOOPBACK = "127.0.0.1"
_CODE = re.compile(rb"<Code>([^<]*)</Code>")
_THROTTLED = ("TooManyRequestsException", "ThrottlingException", "ServiceUnavailableException", "SlowDown")


class CallFailed(Exception):
    """A call that was refused or failed: AWS's code and message."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code

    @property
    def throttled(self) -> bool:
        """Whether the service had no room, so that nothing was tried."""
        return self.code in _THROTTLED


@dataclass(frozen=True)
class RoleCalls:
    """A service that acts as a role in an account and region.

    Its methods raise CallFailed. They are for threads of the service, never for the account's event loop.
    """

    service: str
    role_arn: str
    region: str
    account_id: str

    def enter(self) -> None:
        """Let what this thread does be done in the account and region, by the role, on this machine."""
        enter_account(self.account_id, self.region)
        if not ministack("ministack.app").AUTH:
            return
        evaluator = ministack("ministack.core.iam_evaluator")
        evaluator._verified_key.set(self._access_key())
        evaluator._request_caller_arn.set(self.role_arn)
        evaluator.pin_request_origin(_LOOPBACK, True)

    def require(self, action: str, resource: str) -> None:
        """Raise CallFailed unless the role may do it."""
        if not ministack("ministack.app").AUTH:
            return
        key = self._access_key()
        evaluator = ministack("ministack.core.iam_evaluator")
        evaluator._verified_key.set(key)
        # Policies of buckets that ask for secure transport are asked too.
        evaluator.pin_request_origin(_LOOPBACK, True)
        service = action.split(":")[0]
        denied = evaluator.enforce(key, action, service, self.region, resource_arn=resource)
        if denied is not None:
            raise CallFailed(
                "AccessDeniedException",
                f"{self.role_arn} is not authorized to perform: {action} on resource: {resource}",
            )

    def require_trust(self, source_arn: str) -> None:
        """Raise CallFailed unless the role lets the service assume it for the resource."""
        if not ministack("ministack.app").AUTH:
            return
        self.enter()
        role = ministack("ministack.services.iam")._roles.get(self.role_arn.rpartition("/")[2]) or {}
        trust = role.get("AssumeRolePolicyDocument")
        if not service_allowed(trust, self.service, "sts:AssumeRole", self.role_arn, source_arn):
            raise CallFailed("AccessDeniedException", f"{self.service} may not assume {self.role_arn}.")

    def require_all(self, actions: Iterable[str], resource: str) -> None:
        """Raise CallFailed for the first of the actions that the role may not do."""
        for action in actions:
            self.require(action, resource)

    def json_call(self, service: str, target: str, data: Mapping[str, Any]) -> Any:
        """What an action of a service with the JSON protocol answers."""
        headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"}
        status, _headers, body = self._handle(service, "POST", "/", headers, json.dumps(data).encode())
        answer = json.loads(body or b"{}")
        if status >= 400:
            raise _failure(answer)
        return answer

    def invoke(self, function_arn: str, payload: bytes, invocation_type: str) -> bytes:
        """What a function answers, as JSON; raises CallFailed for an error of the function as well."""
        self.require("lambda:InvokeFunction", function_arn)
        name, _, qualifier = function_arn.split(":function:", 1)[-1].partition(":")
        path = f"/2015-03-31/functions/{name}/invocations"
        headers = {"x-amz-invocation-type": invocation_type, "content-type": "application/json"}
        query = {"Qualifier": [qualifier]} if qualifier else {}
        status, answered, body = self._handle("lambda", "POST", path, headers, payload, query)
        if status >= 400:
            raise _failure(json.loads(body or b"{}"))
        if "X-Amz-Function-Error" in answered:
            raise CallFailed("FunctionError", str(_error_type(body)))
        return bytes(body)

    def query_call(self, service: str, body: bytes) -> bytes:
        """What an action of a service with the query protocol answers, as XML."""
        headers = {"content-type": "application/x-www-form-urlencoded"}
        status, _headers, answer = self._handle(service, "POST", "/", headers, body)
        if status >= 400:
            raise _query_failure(answer)
        return bytes(answer)

    def put_object(self, path: str, body: bytes) -> None:
        """Write an object, by its path of bucket and key."""
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        status, _headers, answer = self._handle("s3", "PUT", path, headers, body)
        if status >= 400:
            raise _query_failure(answer)

    def _handle(
        self,
        service: str,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: Mapping[str, Any] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.enter()
        app = ministack("ministack.app")
        # queues and topics ask the request whose it is
        scope = f"{self._access_key()}/20000101/{self.region}/{service}/aws4_request"
        headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
        answer: tuple[int, Mapping[str, str], bytes] = app.call_service_handler_sync(
            app.SERVICE_HANDLERS[service], method, path, headers, body, query or {}
        )
        return answer

    def _access_key(self) -> str:
        session = role_session(self.service, self.role_arn, self.region, self.account_id)
        return session["AWS_ACCESS_KEY_ID"]


def service_allowed(policy: Any, service: str, action: str, resource_arn: str, source_arn: str) -> bool:
    """Whether a policy of a resource lets a service act for a source in the source's account and region."""
    evaluator = ministack("ministack.core.iam_evaluator")
    region, account = source_arn.split(":")[3:5]
    context = evaluator.EvalContext(
        principal_arn=f"arn:aws:iam::{account}:root",
        principal_type="Service",
        principal_account=account,
        action=action,
        resource_arn=resource_arn,
        region=region,
        service_context={"aws:sourcearn": source_arn, "aws:sourceaccount": account},
    )
    result = evaluator.evaluate_resource_policy(policy, context, service=f"{service}.amazonaws.com")
    return bool(result.decision == "Allow")


def enter_account(account_id: str, region: str) -> None:
    """Let what this thread does be done in the account and region."""
    responses = ministack("ministack.core.responses")
    responses.set_request_account_id(account_id)
    responses.set_request_region(region)


def _failure(answer: Any) -> CallFailed:
    told = answer if isinstance(answer, dict) else {}
    code = str(told.get("__type") or told.get("Type") or told.get("code") or "InternalFailure")
    if told.get("Reason"):
        code = "TooManyRequestsException"
    return CallFailed(code.rpartition("#")[2], str(told.get("message") or told.get("Message") or ""))


def _query_failure(answer: bytes) -> CallFailed:
    found = _CODE.search(bytes(answer))
    return CallFailed(found.group(1).decode() if found else "InternalFailure")


def _error_type(body: bytes) -> Any:
    """The type of a function's error; its message may carry what the function was given."""
    try:
        answer = json.loads(body)
    except ValueError:
        return "Unhandled"
    return answer.get("errorType", "Unhandled") if isinstance(answer, dict) else "Unhandled"
