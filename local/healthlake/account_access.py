"""Access decisions of the local account: ministack's evaluator for IAM policies, its roles for passed roles.

With AUTH on, ministack has verified the signatures of IAM users and role sessions before a request gets here;
root keys, and with AUTH off all callers, only need a well-formed signature.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from local.account.ministack_names import ministack
from local.healthlake.errors import AccessRefusedError
from local.healthlake.http_types import Request
from local.healthlake.role_clients import RoleClients
from local.healthlake.signature import SignatureCheck

SERVICE_PRINCIPAL = "healthlake.amazonaws.com"

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")


@dataclass(frozen=True)
class AccountAuthorizer:
    """Enforces IAM policies when AUTH is on; called within the context that ministack gave the request."""

    clients: RoleClients
    region: str
    account_id: str
    signatures: SignatureCheck

    def authenticate(self, request: Request) -> None:
        """Refuse a request that is not signed for HealthLake."""
        self.signatures.check(request, datetime.now(UTC))

    def authorize(self, request: Request, action: str, resource_arn: str) -> None:
        """Refuse unless a policy of the caller allows healthlake:<action> on the datastore."""
        if action and _auth_is_on():
            self._enforce(request, f"healthlake:{action}", "healthlake", resource_arn, {})

    def authorize_role(self, request: Request, role_arn: str, datastore_arn: str) -> None:
        """Refuse unless the caller may pass the role and the role trusts HealthLake.

        AWS HealthLake Developer Guide, "Setting up permissions for export jobs"; IAM User Guide, "Grant a
        user permissions to pass a role to an AWS service".
        """
        if not _auth_is_on():
            return
        context = {"iam:PassedToService": SERVICE_PRINCIPAL}
        self._enforce(request, "iam:PassRole", "iam", role_arn, context)
        if not trusts_healthlake(self._trust_policy(role_arn), self.account_id, datastore_arn):
            raise AccessRefusedError(
                "AccessDeniedException",
                "HealthLake cannot assume DataAccessRoleArn: its trust policy forbids it.",
            )

    def _enforce(
        self, request: Request, action: str, service: str, resource_arn: str, context: dict[str, Any]
    ) -> None:
        evaluator = ministack("ministack.core.iam_evaluator")
        match = _CREDENTIAL.search(request.headers.get("authorization", ""))
        denied = evaluator.enforce(
            match[1] if match else "",
            action,
            service,
            self.region,
            resource_arn=resource_arn,
            service_context=context,
        )
        if denied is None:
            return
        if hasattr(denied, "code"):
            raise AccessRefusedError(denied.code, denied.message)
        explicit = denied.decision == "Deny"
        reason = (
            "with an explicit deny in an identity-based policy"
            if explicit
            else f"because no identity-based policy allows the {action} action"
        )
        raise AccessRefusedError(
            "AccessDeniedException",
            f"User: {denied.principal_arn} is not authorized to perform: {action} "
            f"on resource: {resource_arn} {reason}",
        )

    def _trust_policy(self, role_arn: str) -> Any:
        try:
            role = self.clients.own("iam").get_role(RoleName=role_arn.rsplit("/", 1)[-1])
        except ClientError:
            raise AccessRefusedError(
                "AccessDeniedException", "HealthLake cannot assume DataAccessRoleArn: there is no such role."
            ) from None
        document = role["Role"]["AssumeRolePolicyDocument"]
        return json.loads(unquote(document)) if isinstance(document, str) else document


def trusts_healthlake(trust: Any, account_id: str, datastore_arn: str) -> bool:
    """Whether a trust policy lets HealthLake assume the role for this datastore.

    The conditions of the confused deputy guidance are checked: aws:SourceAccount and aws:SourceArn.
    """
    statements = trust.get("Statement", [])
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal")
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        if (
            statement.get("Effect") == "Allow"
            and SERVICE_PRINCIPAL in _listed(services)
            and {"sts:AssumeRole", "sts:*", "*"} & set(_listed(statement.get("Action", [])))
            and _conditions_hold(statement.get("Condition", {}), account_id, datastore_arn)
        ):
            return True
    return False


def _conditions_hold(conditions: dict[str, dict[str, Any]], account_id: str, datastore_arn: str) -> bool:
    actual = {"aws:sourceaccount": account_id, "aws:sourcearn": datastore_arn}
    for block in conditions.values():
        for key, wanted in block.items():
            value = actual.get(key.lower())
            if value is None or not any(_matches(value, pattern) for pattern in _listed(wanted)):
                return False
    return True


def _matches(value: str, pattern: str) -> bool:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(escaped, value) is not None


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _auth_is_on() -> bool:
    return bool(ministack("ministack.app").AUTH)
