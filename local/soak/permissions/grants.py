"""The permissions of the stack's roles, as the template grants them and as the account has them.

A permission is one action on one resource, in a statement of an inline policy of a role.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from local.testing.template_reader import Expanded, statements, text

_OWN_ACCOUNT = re.compile(r"^arn:\$\{AWS::Partition\}:\w+:\$\{AWS::Region\}:\$\{AWS::AccountId\}:")


@dataclass(frozen=True)
class Grant:
    """An action that a role is allowed on a resource, which is in the notation of Fn::Sub. `policy`,
    `statement` and `place` are numbers: which inline policy of the role, which statement in it, which of its
    resources."""

    role: str
    policy: int
    statement: int
    place: int
    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.role} {self.action} on {_OWN_ACCOUNT.sub('', self.resource)}"

    def matches(self, written: str) -> bool:
        """Whether `written` names this grant: `Role action`, or `Role action on text`, where the text is
        part of the resource and tells it from the role's other grants of that action."""
        name, _, target = written.partition(" on ")
        return name == f"{self.role} {self.action}" and target in self.resource

    @property
    def service_action(self) -> str:
        """The action that a refusal names; SAM's policy templates grant some with an asterisk behind."""
        return self.action.rstrip("*")


def granted(expanded: Expanded) -> list[Grant]:
    """Every permission that the template grants to a role in an inline policy."""
    return [
        Grant(role, number, order, place, action, resource)
        for role, properties in expanded.of_type("AWS::IAM::Role").items()
        for number, policy in enumerate(properties.get("Policies", []))
        for order, one in enumerate(statements(policy["PolicyDocument"]))
        if one.effect == "Allow"
        for action in one.actions
        for place, resource in enumerate(one.resources)
    ]


def attached(expanded: Expanded) -> list[tuple[str, str]]:
    """Every managed policy of a role, by the last part of its ARN."""
    return [
        (role, text(arn).rsplit("/", 1)[-1])
        for role, properties in expanded.of_type("AWS::IAM::Role").items()
        for arn in properties.get("ManagedPolicyArns", [])
    ]


def without(expanded: Expanded, grant: Grant) -> Expanded:
    """The template as it would be if the permission were not granted."""
    resources = copy.deepcopy(dict(expanded.resources))
    document = resources[grant.role]["Properties"]["Policies"][grant.policy]["PolicyDocument"]
    document["Statement"] = reduced(document["Statement"], grant)
    return Expanded(resources)


def without_policy(expanded: Expanded, role: str, policy: str) -> Expanded:
    """The template as it would be if the managed policy were not attached to the role."""
    resources = copy.deepcopy(dict(expanded.resources))
    properties: Any = resources[role]["Properties"]
    kept = [arn for arn in properties["ManagedPolicyArns"] if not text(arn).endswith(f"/{policy}")]
    properties["ManagedPolicyArns"] = kept
    return Expanded(resources)


def reduced(written: Any, grant: Grant) -> list[Any]:
    """The statements of a policy without the permission: the action keeps its other resources, and the
    other actions keep all."""
    kept: list[Any] = []
    for order, one in enumerate(_many(written)):
        actions, resources = _many(one["Action"]), _many(one["Resource"])
        if order != grant.statement or grant.action not in actions:
            kept.append(one)
            continue
        others = [action for action in actions if action != grant.action]
        left = [resource for place, resource in enumerate(resources) if place != grant.place]
        kept += [{**one, "Action": others}] if others else []
        kept += [{**one, "Action": grant.action, "Resource": left}] if left else []
    return kept


class DeployedRoles:
    """The stack's roles in the account, by logical id."""

    def __init__(self, iam: Any, names: Mapping[str, str], policies: Mapping[str, Sequence[str]]) -> None:
        self._iam = iam
        self._names = names
        self._policies = policies

    @classmethod
    def of_stack(cls, iam: Any, cloudformation: Any, stack: str, expanded: Expanded) -> DeployedRoles:
        """The roles of the stack; `expanded` is the template that was deployed."""
        names = {
            resource["LogicalResourceId"]: resource["PhysicalResourceId"]
            for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::IAM::Role"
        }
        policies = {
            role: [text(policy["PolicyName"]) for policy in properties.get("Policies", [])]
            for role, properties in expanded.of_type("AWS::IAM::Role").items()
        }
        return cls(iam, names, policies)

    @contextmanager
    def lacking(self, grant: Grant) -> Iterator[None]:
        """Take the permission away in the account until the context is left.

        Raises LookupError when the account's policy does not grant it as the template does.
        """
        role, name = self._names[grant.role], self._policies[grant.role][grant.policy]
        whole = self._read(role, name)
        poorer = {**whole, "Statement": reduced(whole["Statement"], grant)}
        if poorer["Statement"] == _many(whole["Statement"]):
            raise LookupError(f"{grant} is not in the deployed policy {name} of {role}")
        try:
            self._write(role, name, poorer)
            yield
        finally:
            self._write(role, name, whole)

    def _read(self, role: str, name: str) -> dict[str, Any]:
        document = self._iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        parsed: dict[str, Any] = json.loads(unquote(document)) if isinstance(document, str) else document
        return parsed

    def _write(self, role: str, name: str, document: Mapping[str, Any]) -> None:
        if document["Statement"]:
            text_of_it = json.dumps(document)
            self._iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=text_of_it)
        else:
            self._iam.delete_role_policy(RoleName=role, PolicyName=name)


def _many(written: Any) -> list[Any]:
    return written if isinstance(written, list) else [written]
