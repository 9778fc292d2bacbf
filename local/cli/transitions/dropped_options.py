"""`transitions unprocessed` and `transitions again`: jobs whose messages SQS has dropped."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from local.cli.operations.application_code import make_importable
from local.cli.operations.hub import DeployedHub, add_place, find_hub
from local.cli.output import Output
from local.cli.project import Project

QUEUE_KEEPS_DAYS = 4
"""Days after which the queue of jobs drops a message."""

_FunctionOf = Callable[[DeployedHub], str]


def add_dropped(actions: Any, function_of: _FunctionOf) -> None:
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
