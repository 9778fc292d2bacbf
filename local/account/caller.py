"""Who sent a request, and what they may do beyond the one action that the account has checked at its door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from local.account.ministack_names import ministack


@dataclass(frozen=True)
class Caller:
    """The user or role session that sent the request; without a key nobody is checked: the root user, or an
    account that does not enforce policies."""

    access_key: str
    region: str
    account_id: str

    @classmethod
    def of_this_request(cls) -> Self:
        """The caller of the request in whose context this is called."""
        responses = ministack("ministack.core.responses")
        enforced = bool(ministack("ministack.app").AUTH)
        verified: str = ministack("ministack.core.iam_evaluator")._verified_key.get()
        return cls(verified if enforced else "", responses.get_region(), responses.get_account_id())

    def denied(self, action: str, resource: str) -> str | None:
        """What AWS says where no policy lets the caller do it, or None where one does."""
        if not self.access_key:
            return None
        found = ministack("ministack.core.iam_evaluator").enforce(
            self.access_key, action, action.split(":")[0], self.region, resource_arn=resource
        )
        if found is None:
            return None
        who = getattr(found, "principal_arn", "") or self.access_key
        return (
            f"User: {who} is not authorized to perform: {action} on resource: {resource} "
            f"because no identity-based policy allows the {action} action"
        )
