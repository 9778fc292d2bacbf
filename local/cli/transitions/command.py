"""`transitions`: changes that Lambda has given up, and a way to send them on."""

from __future__ import annotations

import argparse
from typing import Any

from local.cli import stack
from local.cli.errors import CommandError
from local.cli.operations.actions import Add, actions_of
from local.cli.operations.hub import DeployedHub, find_hub
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.project import Project, command_line
from local.cli.transitions.dropped_options import add_dropped
from local.cli.transitions.given_up import GivenUpBatches

FUNCTION = "DetectTransitionsFunction"
_COLUMNS = ("records", "at", "condition", "key")
_NOTHING = "Nothing was given up: every change of the jobs table has been looked at, or is on its way."


def add_transitions(add: Add) -> None:
    """Add the command, with one of its own for each thing that it does."""
    command = add(
        "transitions", _given_up, "Show changes and jobs that were given up or dropped, and resend them."
    )
    action = actions_of(command)
    action("given-up", _given_up, "List what the function failed on in all tries: never what it says.")
    action("resend", _resend, "Give it to the function again, once what was wrong is mended.")
    add_dropped(action, lambda hub: batches_of(hub).function)


def _given_up(project: Project, output: Output, options: argparse.Namespace) -> int:
    return list_given_up(find_hub(project, output, options), output)


def _resend(project: Project, output: Output, options: argparse.Namespace) -> int:
    return resend(find_hub(project, output, options), output)


def batches_of(hub: DeployedHub) -> GivenUpBatches:
    """What the function of a stack was given up on; raises CommandError where the stack has none."""
    resources = stack.resources(hub.account, hub.stack_name)
    names = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in resources}
    if FUNCTION not in names:
        raise CommandError(
            f"The stack {hub.stack_name} has no {FUNCTION}.",
            "Name a stack of healthlake-hub with --stack, or deploy this version of it.",
        )
    return GivenUpBatches(hub.client("s3"), hub.client("lambda"), hub.bucket, names[FUNCTION])


def list_given_up(hub: DeployedHub, output: Output) -> int:
    """List the batches that were given up."""
    with output.step("Read what was given up") as step:
        rows = [(len(one.records), one.at, one.condition, one.key) for one in batches_of(hub).listed()]
        step.result = counted(sum(row[0] for row in rows), "record")
    if rows:
        show_table(output, _COLUMNS, rows)
        output.line(f"Send them on with `{command_line()} transitions resend`.")
    else:
        output.line(_NOTHING)
    output.document(
        {"hub": hub.document(), "givenUp": [dict(zip(_COLUMNS, row, strict=True)) for row in rows]}
    )
    return 0


def resend(hub: DeployedHub, output: Output) -> int:
    """Send on what was given up; 1 when something of it had to stay."""
    batches, sent = batches_of(hub), 0
    stayed: list[dict[str, Any]] = []
    with output.step("Send on what was given up") as step:
        for one in batches.listed():
            resent = batches.resend(one)
            sent += resent.sent
            if resent.stayed:
                stayed.append({"key": one.key, "records": resent.stayed, "reason": resent.reason})
        step.result = counted(sent, "record")
    for batch in stayed:
        output.line(f"{counted(batch['records'], 'record')} of {batch['key']} stayed: {batch['reason']}")
    if not sent and not stayed:
        output.line(_NOTHING)
    output.document({"hub": hub.document(), "sent": sent, "stayed": stayed})
    return 1 if stayed else 0
