"""Joins variables in policies to ministack's evaluation of them, for identities, resources and sessions."""

from __future__ import annotations

from local.account.ministack_names import ministack
from local.iam.policy_variables import in_statements


def register() -> None:
    """Let policies have variables."""
    evaluator = ministack("ministack.core.iam_evaluator")
    evaluator._first_match = in_statements(evaluator._first_match, evaluator._resolve_condition_key)
