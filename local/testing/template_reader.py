"""Reads the SAM template the way AWS does, so that it can be reasoned about without an account.

`read` gives the template as written, `expand` what the SAM transform makes of it: with the roles,
event source mappings, rules and schedules that nobody wrote. `text` turns a CloudFormation value into one
comparable text in the notation of Fn::Sub, for example `${HubBucket.Arn}/runs/*`.
AWS documentation: "AWS SAM specification", "Intrinsic function reference".
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

Value = Any

_REFERENCE = re.compile(r"\$\{([A-Za-z0-9:]+)(\.[A-Za-z0-9.]+)?\}")
_SOURCE = "s3://built/artifact"


def read(path: Path) -> dict[str, Value]:
    """The template as written, its tags in the long form: `!Ref X` is `{"Ref": "X"}`."""
    document: dict[str, Value] = yaml_parse(path.read_text(encoding="utf-8"))
    return document


def expand(template: Mapping[str, Value], folder: Path) -> Expanded:
    """What CloudFormation gets for a template of `folder`, with every parameter at its default.

    Raises the transform's own errors for a template that it refuses.
    """
    document = _with_artifacts(template, folder)
    defaults = {name: one.get("Default", "") for name, one in document.get("Parameters", {}).items()}
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    return Expanded(json.loads(json.dumps(translator.translate(document, defaults)["Resources"])))


def _with_artifacts(template: Mapping[str, Value], folder: Path) -> dict[str, Value]:
    """As `sam package` would leave it: code in S3, state machine files in place."""
    document: dict[str, Value] = copy.deepcopy(dict(template))
    document["Globals"]["Function"]["CodeUri"] = _SOURCE
    for resource in document["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            properties["Definition"] = json.loads(
                (folder / properties.pop("DefinitionS3Location")).read_text()
            )
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            properties["ContentUri"] = _SOURCE
    return document


@dataclass(frozen=True)
class Statement:
    """One statement of a policy; resources and principals in the notation of `text`."""

    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    services: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, str]]

    def allows(self, action: str) -> bool:
        """Whether the statement grants `action`, on whatever resource."""
        return self.effect == "Allow" and any(
            re.fullmatch(re.escape(one).replace(r"\*", ".*"), action, re.IGNORECASE) for one in self.actions
        )


@dataclass(frozen=True)
class Expanded:
    """The resources that CloudFormation creates, by logical id."""

    resources: Mapping[str, Mapping[str, Value]]

    def of_type(self, kind: str) -> dict[str, Mapping[str, Value]]:
        """Logical ids and properties of the resources of one type."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    def properties(self, name: str) -> Mapping[str, Value]:
        found: Mapping[str, Value] = self.resources[name].get("Properties", {})
        return found

    def granted(self, role: str) -> list[Statement]:
        """The statements of every inline policy of a role."""
        policies = self.properties(role).get("Policies", [])
        return [one for policy in policies for one in statements(policy["PolicyDocument"])]

    def resources_for(self, role: str, action: str) -> set[str]:
        """Everything that a role may do `action` on."""
        return {resource for one in self.granted(role) if one.allows(action) for resource in one.resources}


def statements(document: Mapping[str, Value]) -> list[Statement]:
    """The statements of a policy document."""
    return [_statement(one) for one in _many(document["Statement"])]


def _statement(written: Mapping[str, Value]) -> Statement:
    principal = written.get("Principal", {})
    services = principal.get("Service", []) if isinstance(principal, Mapping) else []
    return Statement(
        effect=written["Effect"],
        actions=tuple(_many(written.get("Action", []))),
        resources=tuple(text(one) for one in _many(written.get("Resource", []))),
        services=tuple(text(one) for one in _many(services)),
        conditions={
            operator: {key: text(value) for key, value in comparisons.items()}
            for operator, comparisons in written.get("Condition", {}).items()
        },
    )


def text(value: Value) -> str:
    """One text for a value with intrinsic functions; both outcomes of an Fn::If stand in it."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return json.dumps(value, sort_keys=True) if isinstance(value, (list, Mapping)) else str(value)
    ((function, argument),) = value.items()
    match function:
        case "Ref":
            return f"${{{argument}}}"
        case "Fn::GetAtt":
            parts = argument if isinstance(argument, list) else argument.split(".")
            return f"${{{'.'.join(parts)}}}"
        case "Fn::Sub" if isinstance(argument, list):
            template, variables = argument
            return re.sub(
                r"\$\{(\w+)\}",
                lambda found: text(variables[found[1]]) if found[1] in variables else found[0],
                template,
            )
        case "Fn::Sub":
            return str(argument)
        case "Fn::If":
            return f"if {argument[0]} then {text(argument[1])} else {text(argument[2])}"
        case _:
            return json.dumps(value, sort_keys=True)


def references(value: Value) -> set[str]:
    """Logical ids and parameters that a value, however deep, refers to."""
    if isinstance(value, list):
        return {name for one in value for name in references(one)}
    if not isinstance(value, Mapping):
        return set()
    found: set[str] = set()
    for key, inner in value.items():
        if key == "Ref":
            found.add(inner)
        elif key == "Fn::GetAtt":
            found.add(inner[0] if isinstance(inner, list) else inner.split(".")[0])
        elif key == "Fn::Sub":
            template = inner[0] if isinstance(inner, list) else inner
            found |= {name for name, _ in _REFERENCE.findall(template)}
            found |= references(inner[1]) if isinstance(inner, list) else set()
        else:
            found |= references(inner)
    return found


def written_statements(path: Path) -> Iterator[tuple[str, int, bool]]:
    """Every policy statement in the template's text: its place, its line (from 1), whether it has a Sid."""
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    if root is not None:
        yield from _statements_below(root, ())


def _statements_below(node: yaml.Node, where: tuple[str, ...]) -> Iterator[tuple[str, int, bool]]:
    if isinstance(node, yaml.SequenceNode):
        for one in node.value:
            if where and where[-1] == "Statement" and isinstance(one, yaml.MappingNode):
                keys = {key.value for key, _ in one.value}
                yield "/".join(where), one.start_mark.line + 1, "Sid" in keys
            else:
                yield from _statements_below(one, where)
    elif isinstance(node, yaml.MappingNode):
        for key, inner in node.value:
            yield from _statements_below(inner, (*where, str(key.value)))


def _many(value: Value) -> Sequence[Value]:
    return value if isinstance(value, list) else [value]
