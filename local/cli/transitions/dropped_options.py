"""`transitions unprocessed` and `transitions again`: jobs whose messages SQS has dropped."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from local.cli.operations.actions import Add
from local.cli.operations.application_code import make_importable
from local.cli.operations.hub import DeployedHub, find_hub
from local.cli.output import Output
from local.cli.project import Project

QUEUE_KEEPS_DAYS = 4
"""Days after which the queue of jobs drops a message."""

_FunctionOf = Callable[[DeployedHub], str]


def add_dropped(action: Add, function_of: _FunctionOf) -> None:
    """Add both to the actions of `transitions`; `function_of` tells the function of a stack."""

    def listed(project: Project, output: Output, options: argparse.Namespace) -> int:
        make_importable()
        from local.cli.transitions.dropped_command import job_items, list_unprocessed

        hub = find_hub(project, output, options)
        return list_unprocessed(job_items(hub, function_of(hub)), hub, output, options.days)

    def again(project: Project, output: Output, options: argparse.Namespace) -> int:
        make_importable()
        from local.cli.transitions.dropped_command import detect_again, job_items

        hub = find_hub(project, output, options)
        return detect_again(job_items(hub, function_of(hub)), hub, output, options.days, options.item)

    summary = "List uploads that nobody has worked on, by the ids of their items."
    _add_days(action("unprocessed", listed, summary))
    summary = "Detect their transitions again, or those of items of any type, as if they had just appeared."
    _add_days(action("again", again, summary)).add_argument(
        "--item", action="append", default=[], metavar="<id>", help="this item instead; may be given again"
    )


def _add_days(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument(
        "--days",
        type=int,
        default=QUEUE_KEEPS_DAYS,
        help=f"uploads that are older ({QUEUE_KEEPS_DAYS}: those whose messages the queue has dropped)",
    )
    return command
