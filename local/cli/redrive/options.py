"""`redrive` and its options."""

import argparse
from pathlib import Path
from typing import Any

from local.cli.errors import CommandError
from local.cli.operations.actions import Add, actions_of
from local.cli.operations.application_code import make_importable
from local.cli.operations.hub import DeployedHub, find_hub
from local.cli.output import Output
from local.cli.parsing import positive
from local.cli.project import Project

_LISTED = 50
_MODES = ("bulk", "counted")


def add_redrive(add: Add) -> None:
    """Add the command, with a command of its own for each thing that it does."""
    command = add("redrive", _start, "Send dead letters back, and decide about those in quarantine.")
    action = actions_of(command)
    _add_start(action)
    _add_quarantine(action)


def _add_start(action: Add) -> None:
    command = action("start", _start, "Start the redrive workflow and follow it to its end.")
    command.add_argument(
        "--queue", metavar="NAME", help="a dead-letter queue, by name or ARN; else every one"
    )
    command.add_argument("--mode", choices=_MODES, help="by SQS itself, or one by one; else what fits")
    command.add_argument("--destination", metavar="NAME", help="where to: a queue, or a function's ARN")
    command.add_argument("--max-redrives", type=positive, metavar="N", help="per message, then quarantine")
    command.add_argument(
        "--rate", type=positive, metavar="N", help="messages a second from each queue, at most"
    )
    command.add_argument("--dry-run", action="store_true", help="say what would happen, and touch nothing")
    command.add_argument(
        "--wait", action=argparse.BooleanOptionalAction, help="follow the execution to its end (the default)"
    )


def _add_quarantine(action: Add) -> None:
    command = action("list", _list, "List the dead letters in quarantine: never what they say.")
    command.add_argument("--queue", metavar="NAME", help="only those of one queue, by name or ARN")
    command.add_argument("--limit", type=positive, help=f"the newest N ({_LISTED})", metavar="N")
    command = action("show", _show, "Print one dead letter whole, its body too: PHI.")
    command.add_argument("key", metavar="KEY", help="from `redrive list`")
    command = action("edit", _edit, "Change the body of a dead letter; the one it had is kept.")
    command.add_argument("key", metavar="KEY", help="from `redrive list`")
    command.add_argument("--body-file", type=Path, metavar="FILE", help="the new body, instead of $EDITOR")
    command = action("return", _return, "Send dead letters to where they belong, each once.")
    command.add_argument("keys", nargs="*", default=[], metavar="KEY", help="from `redrive list`")
    command.add_argument("--queue", metavar="NAME", help="those of one queue, with --all")
    command.add_argument("--all", action="store_true", help="with --queue: all that it has in quarantine")
    command.add_argument(
        "--destination", metavar="NAME", help="where to, for what does not say: a queue, or a function's ARN"
    )
    command.add_argument(
        "--again", action="store_true", help="send once more what an interrupted return may have sent"
    )
    command.add_argument(
        "--unbound", action="store_true", help="to the target they name, though it does not name their queue"
    )
    command = action("discard", _discard, "Delete dead letters from quarantine, after a confirmation.")
    command.add_argument("keys", nargs="*", default=[], metavar="KEY", help="from `redrive list`")
    command.add_argument("--yes", action="store_true", help="do not ask")


def _hub(project: Project, output: Output, options: argparse.Namespace) -> DeployedHub:
    make_importable()
    return find_hub(project, output, options)


def _given(options: argparse.Namespace, name: str, default: Any = None) -> Any:
    """What was given for an option: those of actions have no defaults."""
    return getattr(options, name, default)


def _start(project: Project, output: Output, options: argparse.Namespace) -> int:
    hub = _hub(project, output, options)
    from local.cli.redrive.workflow import StartOptions, start

    wanted = StartOptions(
        queue=_given(options, "queue"),
        mode=_given(options, "mode"),
        destination=_given(options, "destination"),
        max_redrives=_given(options, "max_redrives"),
        rate=_given(options, "rate"),
        dry_run=_given(options, "dry_run", False),
        wait=_given(options, "wait", True),
    )
    return start(hub, output, wanted)


def _list(project: Project, output: Output, options: argparse.Namespace) -> int:
    hub = _hub(project, output, options)
    from local.cli.redrive.listing import list_letters

    return list_letters(hub, output, _given(options, "queue"), _given(options, "limit", _LISTED))


def _show(project: Project, output: Output, options: argparse.Namespace) -> int:
    hub = _hub(project, output, options)
    from local.cli.redrive.listing import show

    return show(hub, output, options.key)


def _edit(project: Project, output: Output, options: argparse.Namespace) -> int:
    hub = _hub(project, output, options)
    from local.cli.redrive.editing import edit

    return edit(hub, output, options.key, _given(options, "body_file"))


def _return(project: Project, output: Output, options: argparse.Namespace) -> int:
    hub = _hub(project, output, options)
    from local.cli.redrive.return_command import ReturnOptions, give_back

    wanted = ReturnOptions(
        keys=tuple(options.keys),
        queue=_given(options, "queue"),
        all_of_queue=_given(options, "all", False),
        destination=_given(options, "destination"),
        again=_given(options, "again", False),
        unbound=_given(options, "unbound", False),
    )
    return give_back(hub, output, wanted)


def _discard(project: Project, output: Output, options: argparse.Namespace) -> int:
    if not options.keys:
        raise CommandError("Which dead letters?", "Give their keys; see `redrive list`.")
    hub = _hub(project, output, options)
    from local.cli.redrive.discarding import discard

    return discard(hub, output, options.keys, confirmed=_given(options, "yes", False))
