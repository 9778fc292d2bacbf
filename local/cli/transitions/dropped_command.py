"""`transitions unprocessed` and `transitions again`: jobs whose messages SQS has dropped."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from local.cli.errors import CommandError
from local.cli.operations.hub import DeployedHub, add_place, find_hub
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.project import Project, command_line
from local.cli.transitions.dropped import Dropped, JobItems, NotDetected

QUEUE_KEEPS_DAYS = 4
"""Days after which the queue of jobs drops a message."""

_COLUMNS = ("item", "uploaded")
_NOTHING = "No upload waits for so long."
_FunctionOf = Callable[[DeployedHub], str]


def add_dropped(actions: Any, function_of: _FunctionOf) -> None:
    """Add both to the actions of `transitions`; `function_of` tells the function of a stack."""

    def listed(project: Project, output: Output, options: argparse.Namespace) -> int:
        hub = find_hub(project, output, options)
        return list_unprocessed(job_items(hub, function_of(hub)), hub, output, options.days)

    def again(project: Project, output: Output, options: argparse.Namespace) -> int:
        hub = find_hub(project, output, options)
        return detect_again(job_items(hub, function_of(hub)), hub, output, options.days, options.item)

    summary = "List uploads that nobody has worked on, by the ids of their items."
    _add(actions, "unprocessed", listed, summary)
    summary = "Detect their transitions again, or those of items of any type, as if they had just appeared."
    _add(actions, "again", again, summary).add_argument(
        "--item", action="append", default=[], metavar="<id>", help="this item instead; may be given again"
    )


def _add(actions: Any, name: str, run: Any, summary: str) -> argparse.ArgumentParser:
    # what is not given here stays as it was given before the action's name
    added: argparse.ArgumentParser = actions.add_parser(
        name, help=summary, description=summary, argument_default=argparse.SUPPRESS
    )
    added.add_argument("--json", action="store_true", help="write one JSON document instead of lines")
    added.add_argument(
        "--days",
        type=int,
        default=QUEUE_KEEPS_DAYS,
        help=f"uploads that are older ({QUEUE_KEEPS_DAYS}: those whose messages the queue has dropped)",
    )
    add_place(added)
    added.set_defaults(command=run)
    return added


def job_items(hub: DeployedHub, function: str) -> JobItems:
    """The items of a stack; raises CommandError where it has no jobs table."""
    if "JobsTableName" not in hub.outputs:
        raise CommandError(
            f"The stack {hub.stack_name} has no output JobsTableName.", "Name a stack of healthlake-hub."
        )
    return JobItems(
        dynamodb=hub.client("dynamodb"),
        functions=hub.client("lambda"),
        table=hub.outputs["JobsTableName"],
        function=function,
        clock=lambda: datetime.now(UTC),
    )


def list_unprocessed(items: JobItems, hub: DeployedHub, output: Output, days: int) -> int:
    """List uploads that are older than `days` days and not worked on."""
    with output.step("Read the jobs table") as step:
        rows = sorted((one.id, one.since) for one in items.unprocessed(timedelta(days=days)))
        step.result = counted(len(rows), "upload")
    if rows:
        show_table(output, _COLUMNS, rows)
        output.line(f"Give them to workers again with `{command_line()} transitions again`.")
    else:
        output.line(_NOTHING)
    output.document(
        {"hub": hub.document(), "unprocessed": [dict(zip(_COLUMNS, row, strict=True)) for row in rows]}
    )
    return 0


def detect_again(items: JobItems, hub: DeployedHub, output: Output, days: int, named: Sequence[str]) -> int:
    """Detect transitions of the uploads, or of the items that are named; 1 when some could not be."""
    failed: list[dict[str, str]] = []
    done = 0
    with output.step("Detect transitions again") as step:
        for one in _chosen(items, days, named):
            try:
                items.detect(one)
                done += 1
            except NotDetected as error:
                failed.append({"item": one.id, "reason": str(error)})
        step.result = counted(done, "item")
    for one_failed in failed:
        output.line(f"{one_failed['item']} failed: {one_failed['reason']}")
    if not done and not failed:
        output.line(_NOTHING)
    output.document({"hub": hub.document(), "detected": done, "failed": failed})
    return 1 if failed else 0


def _chosen(items: JobItems, days: int, named: Sequence[str]) -> list[Dropped]:
    if not named:
        return list(items.unprocessed(timedelta(days=days)))
    found = [(item_id, items.named(item_id)) for item_id in named]
    if missing := [item_id for item_id, one in found if one is None]:
        raise CommandError(f"The jobs table has no item {missing[0]}.", "Give the id of an item.")
    return [one for _, one in found if one is not None]
