"""`compact`: bring the table fhir_latest up to date, the latest version of each resource in its own files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence

from local.cli.errors import CommandError
from local.cli.lake.athena import Athena, output_of
from local.cli.lake.compaction import Compacted, Compactor
from local.cli.lake.compaction_sql import rows_by_type
from local.cli.lake.generations import Generations
from local.cli.lake.latest_partitions import LatestPartitions
from local.cli.lake.prices import bytes_text, dollars_text
from local.cli.lake.source_files import types_in
from local.cli.operations.application_code import make_importable
from local.cli.operations.hub import DeployedHub, add_place, find_hub
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.project import Project

_Command = Callable[[Project, Output, argparse.Namespace], int]
_Add = Callable[[str, _Command, str], argparse.ArgumentParser]


def add_compact(add: _Add) -> None:
    """Add the command."""
    command = add("compact", _compact, "Bring fhir_latest up to date: the latest version of each resource.")
    command.epilog = (
        "Athena reads and writes; no row passes through this machine. It reads what the table holds and what "
        "has been exported since, or everything where that is cheaper or the lake was changed. Queries go on "
        "meanwhile. Run it as often as you read much: once a day, for example."
    )
    command.add_argument(
        "--type", action="append", default=[], metavar="TYPE", help="only this resource type"
    )
    command.add_argument("--full", action="store_true", help="read everything again")
    add_place(command)


def _compact(project: Project, output: Output, options: argparse.Namespace) -> int:
    make_importable()
    return compact(find_hub(project, output, options), output, types=options.type, full=options.full)


def compact(hub: DeployedHub, output: Output, *, types: Sequence[str] = (), full: bool = False) -> int:
    """Compact the types, or every one that the lake has; says what it read, wrote and cost."""
    compactor = compactor_of(hub)
    chosen = _chosen(compactor, types)
    if not chosen:
        output.line("The lake holds nothing yet: nothing was compacted.")
    done = []
    for resource_type in chosen:
        with output.step(resource_type) as step:
            one = compactor.compact(resource_type, step.progress, full=full)
            step.result = _told(one)
        done.append(one)
    rows = _rows(compactor.athena) if done else {}
    if done:
        _show(output, done, rows)
    output.document(
        {"hub": hub.document(), "types": [_document(one, rows) for one in done], "dollars": _dollars(done)}
    )
    return 0


def compactor_of(hub: DeployedHub) -> Compactor:
    """The compactor of the hub's lake."""
    athena = Athena.of(hub)
    return Compactor(
        athena,
        Generations(hub.client("s3"), output_of(hub, "LakeBucketName")),
        LatestPartitions(hub.client("glue"), athena.database),
    )


def _chosen(compactor: Compactor, asked: Sequence[str]) -> list[str]:
    there = types_in(compactor.generations.s3, compactor.generations.bucket)
    known = sorted({*there, *compactor.partitions.types()})
    wanted = [name for text in asked for name in text.split(",") if name]
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise CommandError(
            f"The lake has no files of {', '.join(unknown)}.",
            f"It has: {', '.join(known) or 'none at all'}.",
        )
    return sorted(set(wanted)) or known


def _rows(athena: Athena) -> dict[str, int]:
    """How many rows the table has of each type."""
    _, found = athena.columns_and_rows(athena.run(rows_by_type()).query_id)
    return {str(resource_type): int(count or 0) for resource_type, count in found}


def _told(one: Compacted) -> str:
    if one.superseded:
        return "another compaction was faster, and its rows stay"
    if one.query is None:
        return one.how
    return f"{one.how}, {bytes_text(one.query.scanned_bytes)} read, {bytes_text(one.written_bytes)} written"


def _dollars(done: Sequence[Compacted]) -> float:
    return sum(one.query.dollars for one in done if one.query is not None)


def _show(output: Output, done: Sequence[Compacted], rows: Mapping[str, int]) -> None:
    output.line()
    show_table(
        output,
        ("type", "rows", "files", "read", "scanned", "written"),
        [
            [
                one.resource_type,
                rows.get(one.resource_type, 0),
                one.files,
                "superseded" if one.superseded else one.how,
                bytes_text(one.query.scanned_bytes) if one.query else None,
                bytes_text(one.written_bytes) if one.query else None,
            ]
            for one in done
        ],
    )
    output.line(
        f"{counted(sum(rows.values()), 'row')} in fhir_latest; on AWS {dollars_text(_dollars(done))}",
        style="dim",
    )


def _document(one: Compacted, rows: Mapping[str, int]) -> dict[str, object]:
    return {
        "type": one.resource_type,
        "read": one.how,
        "files": one.files,
        "rows": rows.get(one.resource_type, 0),
        "scannedBytes": one.query.scanned_bytes if one.query else 0,
        "writtenBytes": one.written_bytes,
        "superseded": one.superseded,
    }
