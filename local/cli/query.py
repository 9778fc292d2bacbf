"""`query`: SQL over the lake, as a table, as CSV or as JSON."""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Callable, Iterator
from itertools import islice

from local.athena.sql_text import meaningful
from local.cli.errors import CommandError
from local.cli.lake.athena import Athena, FinishedQuery, Row
from local.cli.lake.prices import bytes_text, dollars_text
from local.cli.operations.application_code import make_importable
from local.cli.operations.hub import DeployedHub, add_place, find_hub
from local.cli.operations.tables import show_table
from local.cli.output import Output, counted
from local.cli.parsing import positive
from local.cli.project import Project, command_line

SHOWN_ROWS = 1000
_EVERY_TYPE = re.compile(r"\bfhir(_current)?\b", re.IGNORECASE)
_READING = ("select", "with", "values", "show", "describe", "explain")
# What would move a terminal's cursor, or break a row into lines.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_EXAMPLES = """tables:
  fhir          every exported version
  fhir_current  the latest of each resource
  fhir_latest   the same when `compact` last ran; cheaper to read
  records          every change of a record
  records_current  the records that there are


  query "select id, last_updated from fhir_current where resource_type = 'Patient' limit 10"
  query "select resource_type, count(*) as versions from fhir group by 1 order by 2 desc"
  query --csv - < questions.sql > answers.csv
"""

_Command = Callable[[Project, Output, argparse.Namespace], int]
_Add = Callable[[str, _Command, str], argparse.ArgumentParser]


def add_query(add: _Add) -> None:
    """Add the command."""
    command = add("query", _query, "Ask the lake with SQL, by Athena.")
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = _EXAMPLES
    command.add_argument("sql", help="the statement, in quotes; - reads it from standard input")
    command.add_argument("--csv", action="store_true", help="write every row as CSV; all else goes to stderr")
    command.add_argument(
        "--rows", type=positive, default=SHOWN_ROWS, metavar="N", help="most rows of a table (%(default)s)"
    )
    add_place(command)


def _query(project: Project, output: Output, options: argparse.Namespace) -> int:
    if options.csv and options.json:
        raise CommandError("--csv and --json are two ways to write the same.", "Leave one of them out.")
    sql = sys.stdin.read() if options.sql == "-" else options.sql
    if not sql.strip():
        raise CommandError("There is no SQL to run.", f"See `{command_line()} query --help` for examples.")
    if not only_reads(sql):
        raise CommandError(
            "This would change something: `query` only reads.",
            "Begin with SELECT or WITH; what the lake has for tables is in the template.",
        )
    make_importable()
    spoken = Output(sys.stderr) if options.csv else output
    hub = find_hub(project, spoken, options)
    return query(hub, spoken, sql, as_csv=options.csv, most=options.rows)


def query(hub: DeployedHub, output: Output, sql: str, *, as_csv: bool = False, most: int = SHOWN_ROWS) -> int:
    """Run the query and show what it found, then what it read and what that costs."""
    athena = Athena.of(hub)
    if reads_every_type(sql):
        output.warning("This reads every type of resource; `where resource_type = '…'` reads one.")
    finished = _run(athena, output, sql)
    columns, rows = athena.columns_and_rows(finished.query_id)
    if as_csv:
        _write_csv(columns, rows)
        _tell_cost(output, finished)
        return 0
    if output.as_json:
        output.document(_document(hub, finished, columns, list(rows)))
        return 0
    found = list(islice(rows, most))
    left = next(rows, None) is not None
    show_table(output, columns, [[_one_line(value) for value in row] for row in found])
    output.line(f"{counted(len(found), 'row')}{', and more: --rows N or --csv' if left else ''}", style="dim")
    _tell_cost(output, finished)
    return 0


def only_reads(sql: str) -> bool:
    """Whether the statement is one that changes neither tables nor objects."""
    first = next((word.text.lower() for word in meaningful(sql) if not word.says("(")), "")
    return first in _READING


def reads_every_type(sql: str) -> bool:
    """Whether a query of the growing tables says nothing of the type, by which they are parted."""
    return bool(_EVERY_TYPE.search(sql)) and "resource_type" not in sql.lower()


def _run(athena: Athena, output: Output, sql: str) -> FinishedQuery:
    if not output.live:
        return athena.run(sql)
    with output.step("Query") as step:
        return athena.run(
            sql,
            lambda state, seconds, scanned: step.progress(
                f"{state.lower()}, {seconds:.0f} s, {bytes_text(scanned)} read"
            ),
        )


def _tell_cost(output: Output, finished: FinishedQuery) -> None:
    output.line(
        f"{bytes_text(finished.scanned_bytes)} scanned in {finished.seconds:.1f} s; "
        f"on AWS {dollars_text(finished.dollars)}",
        style="dim",
    )


def _document(
    hub: DeployedHub, finished: FinishedQuery, columns: list[str], rows: list[Row]
) -> dict[str, object]:
    return {
        "hub": hub.document(),
        "queryId": finished.query_id,
        "scannedBytes": finished.scanned_bytes,
        "seconds": finished.seconds,
        "dollars": finished.dollars,
        "columns": columns,
        "rows": rows,
    }


def _write_csv(columns: list[str], rows: Iterator[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def _one_line(value: str | None) -> str | None:
    return None if value is None else _CONTROL.sub(lambda found: repr(found[0])[1:-1], value)
