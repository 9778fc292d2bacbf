"""Commands that do several things, each under a name of its own: `redrive start`, `lake errors`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from local.cli.operations.hub import add_place
from local.cli.output import Output
from local.cli.project import Project

Command = Callable[[Project, Output, argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]


def actions_of(command: argparse.ArgumentParser) -> Add:
    """Give a command a place and actions of a deployed hub; what is returned adds one, by its name, what it
    runs and its summary, and returns its parser for more arguments."""
    add_place(command)
    actions = command.add_subparsers(title="what to do", required=True, metavar="<what>")

    def action(name: str, run: Command, summary: str) -> argparse.ArgumentParser:
        # what is not given here stays as it was given before the action's name
        added = actions.add_parser(
            name, help=summary, description=summary, argument_default=argparse.SUPPRESS
        )
        added.add_argument("--json", action="store_true", help="write one JSON document instead of lines")
        add_place(added)
        added.set_defaults(command=run)
        return added

    return action
