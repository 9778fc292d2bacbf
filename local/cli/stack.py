"""What is deployed in an account: the stack's outputs and resources."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.cli.accounts import Account, AwsAccount, client, named
from local.cli.errors import CommandError


def outputs(account: Account, stack_name: str) -> Mapping[str, str]:
    """The stack's outputs by name; raises CommandError when it is not deployed."""
    stack = describe(account, stack_name)
    if stack is None:
        raise _not_deployed(account, stack_name)
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def describe(account: Account, stack_name: str) -> Mapping[str, Any] | None:
    """CloudFormation's description of the stack, or None when there is none."""
    try:
        stacks = client(account, "cloudformation").describe_stacks(StackName=stack_name)["Stacks"]
    except ClientError as error:
        if not _says_that_it_does_not_exist(error):
            raise
        return None
    return stacks[0] if stacks else None


def resources(account: Account, stack_name: str) -> list[Mapping[str, Any]]:
    """CloudFormation's summaries of the stack's resources; raises CommandError when it is not deployed."""
    pages = client(account, "cloudformation").get_paginator("list_stack_resources")
    try:
        return [
            resource
            for page in pages.paginate(StackName=stack_name)
            for resource in page["StackResourceSummaries"]
        ]
    except ClientError as error:
        if not _says_that_it_does_not_exist(error):
            raise
        raise _not_deployed(account, stack_name) from None


def functions(account: Account, stack_name: str) -> Mapping[str, str]:
    """The names of the stack's functions by logical id; raises CommandError when it is not deployed."""
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in resources(account, stack_name)
        if resource["ResourceType"] == "AWS::Lambda::Function"
    }


def _not_deployed(account: Account, stack_name: str) -> CommandError:
    todo = "Deploy it with `make up`."
    if isinstance(account, AwsAccount):
        todo = "Name another one with --stack, another region with --region, another account with --profile."
    return CommandError(f"The stack {stack_name} is not deployed in {named(account)}.", todo)


def _says_that_it_does_not_exist(error: ClientError) -> bool:
    """CloudFormation has no error of its own for this: it is a ValidationError with these words."""
    told = error.response["Error"]
    return told["Code"] == "ValidationError" and "does not exist" in told["Message"]
