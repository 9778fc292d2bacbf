"""The API of Pipes and its resource of CloudFormation: what ministack's keep, and all that they do not.

AWS documentation: Amazon EventBridge Pipes API Reference, «CreatePipe», «UpdatePipe» and «DescribePipe»;
CloudFormation, AWS::Pipes::Pipe.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from local.account.ministack_names import ministack
from local.pipes import parameters
from local.pipes.json_paths import PathRefused
from local.pipes.parameters import ParametersRefused
from local.streams.filters import FilterRefused

MEMBERS = (
    "SourceParameters",
    "Enrichment",
    "EnrichmentParameters",
    "TargetParameters",
    "KmsKeyIdentifier",
    "LogConfiguration",
)
"""What ministack drops of a pipe."""

TYPE = "AWS::Pipes::Pipe"
Refused = (ParametersRefused, FilterRefused, PathRefused)
Begin = Callable[[dict[str, Any]], None]
"""Starts to read for a pipe."""


def join(begin: Begin) -> None:
    """Keep and tell everything of a pipe, and let it begin once all is kept."""
    pipes = ministack("ministack.services.pipes")
    # its poller delivers to two kinds of targets, once a second
    pipes._ensure_poller = lambda: None
    pipes._create_pipe = _creating(pipes._create_pipe, begin)
    pipes._update_pipe = _updating(pipes._update_pipe)
    pipes._describe_response = _describing(pipes._describe_response)
    provisioners = ministack("ministack.services.cloudformation.provisioners")
    create = _provisioning(provisioners._pipes_pipe_create, begin)
    provisioners._pipes_pipe_create = create
    provisioners._pipes_pipe_fields = _with_fields(provisioners._pipes_pipe_fields)
    provisioners._RESOURCE_HANDLERS[TYPE]["create"] = create


def _creating(shipped: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def create_pipe(name: str, body: Mapping[str, Any]) -> Any:
        pipes = ministack("ministack.services.pipes")
        try:
            parameters.check({**body, "Name": name})
        except Refused as refusal:
            return pipes._error(400, "ValidationException", str(refusal))
        answer = shipped(name, body)
        if answer[0] < 400:
            source = parameters.source_parameters(body)
            pipe = pipes._pipes[name]
            pipe["StartingPosition"] = source.get("StartingPosition", "LATEST")
            pipes._positions[pipe["Arn"]] = pipes._initial_position(pipe)
            _keep(pipe, body)
            begin(pipe)
        return answer

    return create_pipe


def _updating(shipped: Callable[..., Any]) -> Callable[..., Any]:
    def update_pipe(name: str, body: Mapping[str, Any]) -> Any:
        pipes = ministack("ministack.services.pipes")
        pipe = pipes._pipes.get(name)
        if pipe is None:
            return shipped(name, body)
        told = {key: value for key, value in body.items() if value is not None}
        changed: dict[str, Any] = copy.deepcopy(
            {**pipe, **{key: body[key] for key in MEMBERS if key in body}}
        )
        _keep_starting_position(pipe, changed)
        try:
            parameters.check({**changed, "Target": told.get("Target") or pipe["Target"]})
        except Refused as refusal:
            return pipes._error(400, "ValidationException", str(refusal))
        answer = shipped(name, told)
        if answer[0] < 400:
            _keep(pipe, {**body, "SourceParameters": changed.get("SourceParameters")})
        return answer

    return update_pipe


def _keep_starting_position(pipe: Mapping[str, Any], changed: dict[str, Any]) -> None:
    """UpdatePipe does not name the position: a pipe's source and where it starts never change."""
    kept = parameters.source_parameters(pipe).get("StartingPosition")
    if kept and changed.get("SourceParameters") is not None:
        group = changed["SourceParameters"].setdefault("DynamoDBStreamParameters", {})
        group.setdefault("StartingPosition", kept)


def _keep(pipe: dict[str, Any], given: Mapping[str, Any]) -> None:
    for member in MEMBERS:
        if member not in given:
            continue
        if given[member]:
            pipe[member] = copy.deepcopy(given[member])
        else:
            pipe.pop(member, None)


def _describing(shipped: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def describe_response(pipe: Mapping[str, Any]) -> dict[str, Any]:
        return {**shipped(pipe), **{member: pipe[member] for member in MEMBERS if pipe.get(member)}}

    return describe_response


def _provisioning(shipped: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def create(logical_id: str, properties: Mapping[str, Any], stack_name: str) -> Any:
        given = _typed(properties)
        try:
            parameters.check(given)
        except Refused as refusal:
            raise ValueError(str(refusal)) from None
        answer = shipped(logical_id, properties, stack_name)
        pipe = ministack("ministack.services.pipes")._pipes[answer[0]]
        _keep(pipe, given)
        begin(pipe)
        return answer

    return create


def _with_fields(shipped: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The properties of a template that UpdatePipe is given; one that is gone is taken away."""

    def fields(properties: Mapping[str, Any]) -> dict[str, Any]:
        given = _typed(properties)
        return {**shipped(properties), **{member: given.get(member) for member in MEMBERS}}

    return fields


def _typed(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties with numbers for what parameters of the template carry as text."""
    given: dict[str, Any] = json.loads(json.dumps(properties))
    source = parameters.source_parameters(given)
    for name, value in source.items():
        if isinstance(value, str) and value.lstrip("-").isdigit():
            given["SourceParameters"]["DynamoDBStreamParameters"][name] = int(value)
    return given
