"""What is told of a stack that is not there, and of an account that refuses to say."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.errors import CommandError

ACCOUNT = RunningAccount(1, "", 1, "us-east-1", True, "", "", "key", "secret")
ABSENT = ("ValidationError", "Stack with id hub does not exist")
REFUSALS = [("AccessDenied", "User is not authorized"), ("ValidationError", "1 validation error detected")]

Refuse = Callable[[str, str], None]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Let CloudFormation answer every call with an error."""

    def by(code: str, message: str) -> None:
        class CloudFormation:
            def describe_stacks(self, **_asked: Any) -> Any:
                raise ClientError({"Error": {"Code": code, "Message": message}}, "DescribeStacks")

            def get_paginator(self, _operation: str) -> "CloudFormation":
                return self

            paginate = describe_stacks

        monkeypatch.setattr(stack, "client", lambda _account, _service: CloudFormation())

    return by


def test_a_stack_that_does_not_exist_is_not_deployed(refuse: Refuse) -> None:
    refuse(*ABSENT)

    assert stack.describe(ACCOUNT, "hub") is None


@pytest.mark.parametrize("asked", [stack.outputs, stack.functions])
def test_a_command_that_needs_the_stack_says_that_it_is_not_deployed(
    refuse: Refuse, asked: Callable[..., Any]
) -> None:
    refuse(*ABSENT)

    with pytest.raises(CommandError, match="is not deployed"):
        asked(ACCOUNT, "hub")


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("asked", [stack.describe, stack.outputs, stack.functions])
def test_what_the_account_refuses_is_not_taken_for_a_missing_stack(
    refuse: Refuse, asked: Callable[..., Any], refusal: tuple[str, str]
) -> None:
    refuse(*refusal)

    with pytest.raises(ClientError, match=refusal[1]):
        asked(ACCOUNT, "hub")
