"""How Athena says that a query cannot be run.

Follows the Athena API reference, «StartQueryExecution» and «AthenaError», and the user guide, «Troubleshoot
issues in Athena». The names before the colon are Trino's standard error codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from local.athena.sql_text import place


class MalformedQuery(Exception):
    """No SQL: StartQueryExecution refuses it, nothing is run."""


class QueryFailed(Exception):
    """The query ends as FAILED, with this as the reason."""


class ScanLimitExceeded(Exception):
    """The query would read more than its workgroup allows: Athena cancels it."""


# «Per-query data usage control»: Athena cancels a query that is past the limit.
LIMIT_REASON = "Bytes scanned limit was exceeded"
STOPPED_REASON = "Query was cancelled by user"

_NO_ACCESS = "cannot be resolved or requester is not authorized to access requested resources"
_SYNTAX = re.compile(r'syntax error at or near "([^"]*)"')
_TABLE = re.compile(r"Table with name (\S+) does not exist")
_KNOWN = (
    # DuckDB's words, Trino's code, what Trino says of the name
    (
        re.compile(r"Function with name (\S+) does not exist"),
        "FUNCTION_NOT_FOUND",
        "Function '{name}' not registered",
    ),
    (re.compile(r'column "([^"]+)" not found'), "COLUMN_NOT_FOUND", f"Column '{{name}}' {_NO_ACCESS}"),
    (
        re.compile(r'does not have a column named "([^"]+)"'),
        "COLUMN_NOT_FOUND",
        f"Column '{{name}}' {_NO_ACCESS}",
    ),
)


def malformed(error: Exception, sql: str) -> MalformedQuery:
    """What Athena says of text that is no SQL."""
    syntax = _SYNTAX.search(str(error))
    if syntax:
        return MalformedQuery(f"{place(sql, syntax[1])}: mismatched input '{syntax[1]}'")
    if "end of input" in str(error):
        return MalformedQuery("line 1:1: mismatched input '<EOF>'")
    return MalformedQuery(f"line 1:1: {_first_line(error)}")


def failed(error: Exception, sql: str, database: str, databases: Iterable[str]) -> QueryFailed:
    """What Athena says of a query in `database` that DuckDB could not run."""
    told = str(error)
    table = _TABLE.search(told)
    if table:
        return _no_table(table[1].strip("\"'!").lower(), sql, database, databases)
    for pattern, code, says in _KNOWN:
        found = pattern.search(told)
        if found:
            name = found[1].strip("\"'!").lower()
            return QueryFailed(f"{code}: {place(sql, name.rpartition('.')[2])}: {says.format(name=name)}")
    if told.startswith("Binder Error"):
        return QueryFailed(f"TYPE_MISMATCH: {_first_line(error)}")
    if told.startswith("Conversion Error"):
        return QueryFailed(f"INVALID_CAST_ARGUMENT: {_first_line(error)}")
    return QueryFailed(f"GENERIC_INTERNAL_ERROR: {_first_line(error)}")


def _no_table(name: str, sql: str, database: str, databases: Iterable[str]) -> QueryFailed:
    """The table is missing, or the database that the text names before it."""
    name = name.rpartition(".")[2]
    written = re.search(rf'"?([\w-]+)"?\s*\.\s*"?{re.escape(name)}\b', sql, re.IGNORECASE)
    schema = written[1].lower() if written else database
    where = place(sql, schema if written else name)
    if schema not in databases:
        return QueryFailed(f"SCHEMA_NOT_FOUND: {where}: Schema '{schema}' does not exist")
    return QueryFailed(f"TABLE_NOT_FOUND: {where}: Table 'awsdatacatalog.{schema}.{name}' does not exist")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:500]
