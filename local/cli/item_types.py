"""`item-types`: writes what follows from the declared types of records."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from local.cli.errors import CommandError
from local.cli.output import Output
from local.cli.project import Project, command_line
from local.item_types.declared import DECLARATION, DeclarationError
from local.item_types.sections import up_to_date

_Command = Callable[[Project, Output, argparse.Namespace], int]
_Add = Callable[[str, _Command, str], argparse.ArgumentParser]


def add_item_types(add: _Add) -> None:
    """Add the command."""
    command = add("item-types", _item_types, "Write what follows from the declared types of records.")
    command.epilog = (
        f"Reads {DECLARATION} and writes the consumers of each type into template.yaml and what to do about "
        "their alarms into docs/runbook.md, between marks, and the values of the lake's partition key."
    )
    command.add_argument(
        "--check", action="store_true", help="write nothing; say which files are out of date, exit status 1"
    )


def _item_types(project: Project, output: Output, options: argparse.Namespace) -> int:
    try:
        wanted = up_to_date(project.root)
    except DeclarationError as error:
        raise CommandError(str(error), f"Mend {DECLARATION}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{DECLARATION} cannot be read: {error}", "See its schema beside it.") from None
    stale = [path for path, text in wanted.items() if (project.root / path).read_text("utf-8") != text]
    output.document({"outOfDate" if options.check else "written": [path.as_posix() for path in stale]})
    for path in stale:
        output.line(f"{path} is out of date." if options.check else f"{path} written.")
    if not stale:
        output.line("Everything follows the declaration.")
    if options.check:
        if stale:
            output.line(f"Write with `{command_line()} item-types`.")
        return 1 if stale else 0
    for path in stale:
        (project.root / path).write_text(wanted[path], encoding="utf-8")
    return 0
