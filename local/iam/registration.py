"""Joins to ministack's evaluation of policies what it lacks, for identities, resources and sessions."""

from __future__ import annotations

from local.account.ministack_names import ministack
from local.iam.encryption_keys import with_encryption_keys
from local.iam.policy_variables import in_statements


def register() -> None:
    """Let policies have variables, and know the encryption that a write to S3 asks for."""
    evaluator = ministack("ministack.core.iam_evaluator")
    actions = ministack("ministack.core.iam_actions")
    actions.s3_service_context = with_encryption_keys(actions.s3_service_context)
    evaluator._first_match = in_statements(evaluator._first_match, evaluator._resolve_condition_key)
