"""The commands of `python -m local` and their options."""

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local.account import signals
from local.account.clients import forget_foreign_settings
from local.account.settings import DEFAULT_PORT
from local.cli.compact import add_compact
from local.cli.erase import add_erase
from local.cli.errors import CommandError
from local.cli.item_types import add_item_types
from local.cli.lake.command import add_lake
from local.cli.operations.hub import add_place
from local.cli.operations.options import add_operations
from local.cli.output import Output
from local.cli.parsing import Parser, positive
from local.cli.project import Project, command_line
from local.cli.query import add_query
from local.cli.redrive.options import add_redrive
from local.cli.refusals import refusal
from local.cli.transitions.command import add_transitions
from local.workers.command import add_worker

Command = Callable[[Project, Output, argparse.Namespace], int]
# Adds a command by name, with a line that says what it does; returns the parser for its options.
Add = Callable[[str, Command, str], argparse.ArgumentParser]
# Defines commands by the function above.
Commands = Callable[[Add], None]

INTERRUPTED = 130
NOBODY_READS = 141
# The disk is full, a quota is used up, or it cannot be written to.
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def main(arguments: Sequence[str], more: Sequence[Commands] = (), project: Project | None = None) -> int:
    """Run one command, of these or of `more`; returns its exit status.

    That is 0, 1 for what the user can mend, 130 after Ctrl-C, TERM or a terminal that was closed, or 141 when
    the reader of a pipe has left.
    """
    options = parser(more).parse_args(arguments)
    _show_any_character()
    output = Output(as_json=options.json)
    in_aws: bool = getattr(options, "aws", False)
    if not in_aws:
        forget_foreign_settings()
    command: Command = options.command
    try:
        with signals.interrupting():
            status = command(project or Project(), output, options)
            sys.stdout.flush()
            return status
    except CommandError as error:
        return _fail(output, error)
    except BrokenPipeError:
        return _leave_pipe()
    except (BotoCoreError, ClientError, HTTPException, ConnectionError) as error:
        return _fail(output, _refused(error, in_aws=in_aws))
    except OSError as error:
        if error.errno not in _STORAGE:
            raise
        what = f"{error.strerror}: {error.filename or 'writing'}"
        return _fail(output, CommandError(what, "Make room, then try again."))
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED


def _refused(error: Exception, *, in_aws: bool) -> CommandError:
    """What the account refuses or does not answer, beyond what commands expect."""
    known = refusal(error)
    if in_aws:
        return known or CommandError(f"AWS: {error}", "Check --profile, --region and the network.")
    return CommandError(
        f"The local account: {known.what if known else error}",
        f"See `{command_line()} status`, and the log it names.",
    )


def _leave_pipe() -> int:
    """End without a word, as others do whose reader has left; what is still to be written goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NOBODY_READS


def _fail(output: Output, error: CommandError) -> int:
    _report(error)
    output.document({"error": error.what})
    return 1


def _show_any_character() -> None:
    """A terminal or pipe that knows fewer characters gets a mark in place of one, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _report(error: CommandError) -> None:
    if error.details:
        print(error.details, file=sys.stderr)
    print(f"Error: {error.what}", file=sys.stderr)
    if error.todo:
        print(error.todo, file=sys.stderr)


def parser(more: Sequence[Commands] = ()) -> argparse.ArgumentParser:
    """The parser of all commands, `more` of them included."""
    root = Parser(
        prog="python -m local",
        description="The local AWS account: start it, load FHIR resources, run exports. "
        "And a hub in operation, local or in AWS: its runs, ledger, quarantine and state.",
    )
    common = Parser(add_help=False)
    common.add_argument(
        "--json", action="store_true", help="write one JSON document instead of lines for people"
    )
    commands = root.add_subparsers(title="commands", required=True, metavar="<command>")

    def add(name: str, command: Command, summary: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=summary, description=summary, parents=[common])
        added.set_defaults(command=command)
        return added

    for define in (
        _add_account_commands,
        _add_data_commands,
        _add_function_commands,
        add_operations,
        add_query,
        add_lake,
        add_transitions,
        add_compact,
        add_erase,
        add_redrive,
        add_item_types,
        add_worker,
        *more,
    ):
        define(add)
    return root


def _add_account_commands(add: Add) -> None:
    command = add("up", _up, "Start the local account and deploy the application into it.")
    command.add_argument("--port", type=int, default=DEFAULT_PORT, help="preferred port (%(default)s)")
    command.add_argument("--no-auth", action="store_true", help="do not enforce IAM policies")
    add("down", _down, "Stop the local account; nothing is left running.")
    add("status", _status, "Show the account, what is deployed and stored, and recent executions.")


def _add_data_commands(add: Add) -> None:
    command = add("load", _load, "Load FHIR resources from NDJSON files into the local HealthLake.")
    command.epilog = (
        "One resource per line, with its resourceType and its id: a resource is put under its id, "
        "so a line without one is refused, as is a line that is not a JSON object. The others are loaded, "
        "each refused one is named with its reason, and the exit status is 1."
    )
    command.add_argument("paths", nargs="+", type=Path, help="folders or files: *.ndjson, *.ndjson.gz")
    command = add("export", _export, "Start the export state machine and follow it to its end.")
    command.add_argument(
        "--full", action="store_true", help="export everything, whatever was exported before"
    )
    command.add_argument("--types", help="resource types, comma-separated: Patient,Observation")
    command.add_argument("--since", help="resources updated since this time (ISO 8601)")
    command.add_argument("--until", help="resources updated until this time (ISO 8601); with it, a replay")
    command.add_argument("--started-by", metavar="WHO", help="for the audit item; by default, who you are")
    command.add_argument(
        "--accept-errors",
        action="store_true",
        help="move the watermark although HealthLake could not export some resources",
    )
    command.add_argument(
        "--wait", action=argparse.BooleanOptionalAction, default=True, help="follow the execution to its end"
    )
    command.add_argument(
        "--yes", action="store_true", help="do not ask before a full export of a real account"
    )
    add_place(command)


def _add_function_commands(add: Add) -> None:
    command = add("invoke", _invoke, "Run a deployed function with a sample event.")
    command.add_argument("function", help="logical id in the template, for example StartExportFunction")
    command.add_argument("--event", type=Path, required=True, help="file with the event, see events/")
    command = add("logs", _logs, "Show what functions wrote to their logs.")
    command.add_argument("function", nargs="?", help="logical id in the template; without it, every function")
    command.add_argument("--follow", action="store_true", help="go on until Ctrl-C (not with --json)")
    command.add_argument("--minutes", type=positive, default=15, help="how far back to begin (%(default)s)")


def _up(project: Project, output: Output, options: argparse.Namespace) -> int:
    from local.cli.up import UpOptions, up

    return up(project, output, UpOptions(port=options.port, auth=not options.no_auth))


def _down(project: Project, output: Output, _options: argparse.Namespace) -> int:
    from local.cli.up import down

    return down(project, output)


def _status(project: Project, output: Output, _options: argparse.Namespace) -> int:
    from local.cli.status import status

    return status(project, output)


def _load(project: Project, output: Output, options: argparse.Namespace) -> int:
    from local.cli.load import load

    return load(project, output, options.paths)


def _export(project: Project, output: Output, options: argparse.Namespace) -> int:
    from local.cli.export import ExportOptions, export
    from local.cli.operations.hub import find_hub

    types = tuple(name.strip() for name in options.types.split(",")) if options.types else ()
    request = ExportOptions(
        full=options.full,
        types=types,
        since=options.since,
        until=options.until,
        started_by=options.started_by,
        accept_errors=options.accept_errors,
        wait=options.wait,
        confirmed=options.yes,
    )
    return export(find_hub(project, output, options), output, request)


def _invoke(project: Project, output: Output, options: argparse.Namespace) -> int:
    from local.cli.invoke import invoke

    return invoke(project, output, options.function, options.event)


def _logs(project: Project, output: Output, options: argparse.Namespace) -> int:
    from local.cli.logs import logs

    return logs(project, output, options.function, minutes=options.minutes, follow=options.follow)
