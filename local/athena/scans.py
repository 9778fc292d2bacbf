"""What a statement will read: files after pruning, and the bytes of the columns it needs.

Athena charges for bytes scanned («Pricing»: compressed, of the columns that are read, in the partitions that
are left). DuckDB's plan tells tables, columns and conditions on partition keys; the sizes are in the files.
Row groups that statistics would skip are counted, so this is what Athena scans at most.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from local.athena.errors import QueryFailed
from local.athena.relations import RELATION, ReadTable, literal, quoted

_EQUALS = r"\({name} (?:= '[^']*'|IN \((?:'[^']*'(?:, )?)+\))\)"


def scanned_bytes(connection: Any, statement: str, tables: Mapping[str, ReadTable]) -> int:
    """The bytes that the statement scans. Raises QueryFailed where an injected partition key has no value."""
    plan = connection.execute(f"EXPLAIN (FORMAT json) {statement}").fetchall()
    return sum(_of_scan(connection, scan, tables) for scan in _scans(json.loads(plan[-1][1])))


def _scans(nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the plan says of each place where files are read."""
    for node in nodes:
        if node["extra_info"].get("Function") == "READ_PARQUET":
            yield node["extra_info"]
        yield from _scans(node["children"])


def _of_scan(connection: Any, scan: Mapping[str, Any], tables: Mapping[str, ReadTable]) -> int:
    conditions = list(_conditions(scan.get("File Filters", "")))
    of_table = re.compile(rf"\(\"?{re.escape(RELATION)}\"? = '(.*)'\)")
    name = next(found[1] for one in conditions if (found := of_table.fullmatch(one)))
    table = tables[name]
    left = [one for one in conditions if not of_table.fullmatch(one)]
    _assert_injected(table, left)
    columns = _columns(scan)
    paths = _matching(connection, table, left)
    if not paths or not columns:
        return 0
    sizes = connection.execute(
        "SELECT sum(total_compressed_size) FROM parquet_metadata(?) "
        "WHERE list_contains(?, split_part(path_in_schema, ', ', 1))",
        [paths, sorted(columns)],
    ).fetchone()
    return int(sizes[0] or 0)


def _columns(scan: Mapping[str, Any]) -> set[str]:
    projected = scan.get("Projections") or []
    listed = [projected] if isinstance(projected, str) else list(projected)
    filters = scan.get("Filters") or ""
    filtered = re.findall(r"\w+", filters if isinstance(filters, str) else " ".join(filters))
    return {name.strip('"') for name in listed} | set(filtered)


def _conditions(filters: str | list[str]) -> Iterator[str]:
    """Each of the conditions, which the plan writes one behind the other: `(a = 'x')(b >= 'y')`."""
    depth, begin, in_string = 0, 0, False
    text = filters if isinstance(filters, str) else "".join(filters)
    for index, character in enumerate(text):
        if character == "'":
            in_string = not in_string
        if in_string:
            continue
        if character == "(":
            begin, depth = (index, 1) if depth == 0 else (begin, depth + 1)
        elif character == ")":
            depth -= 1
            if depth == 0:
                yield text[begin : index + 1]


def _matching(connection: Any, table: ReadTable, conditions: list[str]) -> list[str]:
    """The files whose partitions the conditions leave; all of them where a condition says more than that."""
    if not conditions:
        return list(table.files)
    keys = list(table.partition_types)
    rows = ", ".join(
        f"({', '.join([literal(path), *(literal(file.partition[key]) for key in keys)])})"
        for path, file in table.files.items()
    )
    casts = ", ".join(
        f"CAST({quoted(key)} AS {kind}) AS {quoted(key)}" for key, kind in table.partition_types.items()
    )
    known = f"(VALUES {rows}) AS files(path, {', '.join(map(quoted, keys))})"
    try:
        found = connection.execute(
            f"SELECT path FROM (SELECT path, {casts} FROM {known}) "  # noqa: S608 (the plan's own words)
            f"WHERE {' AND '.join(conditions)}"
        ).fetchall()
    except Exception:
        return list(table.files)
    return [row[0] for row in found]


def _assert_injected(table: ReadTable, conditions: list[str]) -> None:
    for name in table.injected:
        pattern = re.compile(_EQUALS.format(name=rf'"?{re.escape(name)}"?'))
        if not any(pattern.fullmatch(condition) for condition in conditions):
            raise QueryFailed(
                f"CONSTRAINT_VIOLATION: For the injected projected partition column {name}, the WHERE "
                "clause must contain only static equality conditions, and at least one such condition must "
                "be present."
            )
