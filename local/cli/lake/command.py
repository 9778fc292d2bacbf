"""`lake`: what Firehose could not bring into the lake, and a way to ingest it again."""

from __future__ import annotations

import argparse
from collections import Counter

from local.cli.errors import CommandError
from local.cli.operations.actions import Add, actions_of
from local.cli.operations.application_code import make_importable
from local.cli.operations.hub import DeployedHub, find_hub
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.project import Project, command_line

_COLUMNS = ("records", "failed", "reason", "code", "key")
_NOTHING = "Nothing lies below the error prefix: every change has become a row, or is on its way."


def add_lake(add: Add) -> None:
    """Add the command, with one of its own for each thing that it does."""
    command = add("lake", _errors, "Show what could not be brought into the lake, and ingest it again.")
    action = actions_of(command)
    for name, run, summary in (
        ("errors", _errors, "List records that no row was made of, with their reasons: never what they say."),
        ("reingest", _reingest, "Ingest them again, once what was wrong is mended."),
    ):
        action(name, run, summary).add_argument(
            "--key", metavar="KEY", help="only objects whose keys begin so"
        )


def _errors(project: Project, output: Output, options: argparse.Namespace) -> int:
    make_importable()
    return list_errors(find_hub(project, output, options), output, _key(options))


def _reingest(project: Project, output: Output, options: argparse.Namespace) -> int:
    make_importable()
    return reingest(find_hub(project, output, options), output, _key(options))


def _key(options: argparse.Namespace) -> str | None:
    from local.cli.lake.failed_rows import PREFIX  # the application's code is importable by now

    key: str | None = getattr(options, "key", None)
    if key is not None and not key.startswith(PREFIX):
        raise CommandError(f"{key!r} is no key of the error prefix.", f"Keys of it begin with {PREFIX}.")
    return key


def list_errors(hub: DeployedHub, output: Output, key: str | None = None) -> int:
    """List the objects below the error prefix: how many records for which reason."""
    from local.cli.lake.failed_rows import ErrorPrefix

    rows: list[tuple[object, ...]] = []
    with output.step("Read the error prefix") as step:
        for found in ErrorPrefix(hub).objects(key):
            alike = Counter((row.reason or "-", row.code) for row in found.rows)
            failed = max((row.failed_at for row in found.rows), default="-")
            rows += [(number, failed, reason, code, found.key) for (reason, code), number in alike.items()]
        step.result = counted(sum(int(str(row[0])) for row in rows), "record")
    if rows:
        show_table(output, _COLUMNS, rows)
        output.line(f"Ingest them again with `{command_line()} lake reingest`.")
    else:
        output.line(_NOTHING)
    output.document(
        {"hub": hub.document(), "errors": [dict(zip(_COLUMNS, row, strict=True)) for row in rows]}
    )
    return 0


def reingest(hub: DeployedHub, output: Output, key: str | None = None) -> int:
    """Ingest again what lies below the error prefix; 1 when something of it had to stay."""
    from local.cli.lake.reingestion import Reingested, Reingestion

    reingestion, done = Reingestion(hub), Reingested()
    with output.step("Ingest again") as step:
        for found in reingestion.prefix.objects(key):
            reingestion.ingest(found, done)
            step.progress(f"{done.put:,}")
        step.result = counted(done.put, "record")
    for reason, number in sorted(done.stayed.items()):
        output.line(f"{counted(number, 'record')} stayed: {reason}")
    if done.changed:
        output.line(f"{counted(done.changed, 'object')} changed meanwhile; look again with `lake errors`.")
    if not done.put and not done.stayed:
        output.line(_NOTHING)
    output.document({"hub": hub.document(), "put": done.put, "stayed": done.stayed, "changed": done.changed})
    return 1 if done.stayed or done.changed else 0
