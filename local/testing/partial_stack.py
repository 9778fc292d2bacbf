"""Part of the application's template, deployed into a local account without the SAM CLI.

The resources are those that the template has, and the handlers run from the sources. What is left out may not
be referred to by what is kept. Layers are left out: handlers find their libraries on the host.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.testing.template_reader import read, references

ROOT = Path(__file__).parents[2]
ARTIFACTS = "artifacts"


def deploy_part(
    account: RunningAccount, stack: str, names: Iterable[str], **parameters: str
) -> dict[str, str]:
    """Deploy the named resources as a stack of their own; the physical ids of its resources by logical id."""
    s3 = client(account, "s3")
    s3.create_bucket(Bucket=ARTIFACTS)
    s3.put_object(Bucket=ARTIFACTS, Key="functions.zip", Body=_functions())
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    clouds = client(account, "cloudformation")
    clouds.create_stack(
        StackName=stack,
        TemplateBody=json.dumps(part_of(read(ROOT / "template.yaml"), set(names))),
        Parameters=given,
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    clouds.get_waiter("stack_create_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    listed = clouds.describe_stack_resources(StackName=stack)["StackResources"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}


def part_of(template: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    """The template with only those resources, and functions that have code and environment of their own."""
    code = {"Bucket": ARTIFACTS, "Key": "functions.zip"}
    resources = {name: one for name, one in template["Resources"].items() if name in names}
    assert resources.keys() == names, names - resources.keys()
    settings = template["Globals"]["Function"]
    there = {*names, *template["Parameters"], *template["Conditions"], "AWS::StackName"}
    every = settings["Environment"]["Variables"]
    variables = {name: value for name, value in every.items() if references(value) <= there}
    settings = {**settings, "CodeUri": code, "Environment": {"Variables": variables}}
    settings.pop("Layers")
    kept = ("AWSTemplateFormatVersion", "Transform", "Parameters", "Conditions")
    return {
        **{name: template[name] for name in kept},
        "Globals": {"Function": settings},
        "Resources": resources,
    }


def _functions() -> bytes:
    """The sources of all functions as an archive."""
    found = io.BytesIO()
    folder = ROOT / "functions"
    with zipfile.ZipFile(found, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in (".py", ".json"):
                archive.write(path, path.relative_to(folder).as_posix())
    return found.getvalue()
