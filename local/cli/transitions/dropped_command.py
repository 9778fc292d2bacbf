"""What `transitions unprocessed` and `transitions again` do with jobs whose messages SQS has dropped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from local.cli.errors import CommandError
from local.cli.operations.hub import DeployedHub
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.project import command_line
from local.cli.transitions.dropped import Dropped, JobItems, NotDetected

_COLUMNS = ("item", "uploaded")
_NOTHING = "No upload waits for so long."


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
