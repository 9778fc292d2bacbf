"""The lake's table, made by DuckDB: one COPY of one query, put together from the compartment table. As its
documentation shows it, and as fast as anybody here could make it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.same_table import DATASTORE_ID, PATIENT, ROW_GROUP_BYTES, RUN_ID, file_of, known_of
from bench.timed_work import Work
from common.units import MEBIBYTE
from healthlake_export.patient_compartment import reference_paths

_LONGEST_LINE = 16 * MEBIBYTE


def duckdb_same_table(given: Path, folder: Path) -> Work:
    """DuckDB's COPY as somebody writes it who has read its documentation: one list of JSONPaths, so that a
    text is read once, and wildcards only within what that has found."""
    types = known_of(given).types
    options, target = _into(folder, types)
    return _copied(_MACROS, _plain_query(given, types), target, options)


def duckdb_tuned_same_table(given: Path, folder: Path) -> Work:
    """The same tuned for this benchmark: the fastest of some twenty ways that were tried.

    Everything is found in one pass over the text; lists of references are looked into where they name a
    patient at all. It leaves out lines that are no JSON, which it can at no cost, and keeps less in memory.
    """
    types = known_of(given).types
    options, target = _into(folder, types)
    # With a dictionary of no size DuckDB does not look for texts that repeat.
    options += f", dictionary_size_limit 1, row_group_size_bytes {ROW_GROUP_BYTES}"
    # One thread keeps the order, and groups by size ask that it need not.
    setting = "set preserve_insertion_order = false"
    return _copied((setting, *_MACROS), _tuned_query(given, types), target, options)


def _into(folder: Path, types: Sequence[str]) -> tuple[str, Path]:
    options = "format parquet, compression zstd, compression_level 1"
    if len(types) == 1:
        return options, file_of(folder, types[0])
    return f"{options}, partition_by (resource_type), overwrite_or_ignore true", folder / "lake"


def _copied(first: Iterable[str], query: str, target: Path, options: str) -> Work:
    import duckdb

    connection = duckdb.connect()
    for statement in ("set threads = 1", *first):
        connection.execute(statement)
    return lambda: connection.execute(f"copy ({query}) to '{target}' ({options})")


_MACROS = (
    f"""create macro patient_of(r) as case
        when r like 'Patient/%' and r not like '%/%/%' and not contains(r, '?') and not contains(r, '#')
            and not contains(r, '|') then nullif(substr(r, 9), '')
        when contains(r, 'Patient/') then nullif(regexp_extract(r, '{PATIENT}', 1), '') end""",
    "create macro patients_of(rs) as list_transform(coalesce(rs, []), lambda r: patient_of(r))",
    """create macro each_once(ids) as
        list_filter(ids, lambda p, i: p is not null and list_position(ids, p) = i)""",
)
"""An expression is dear: it is for references of uncommon shape alone."""


def _lines(given: Path, more: str = "") -> str:
    return f"read_ndjson_objects('{given}', maximum_object_size={_LONGEST_LINE}{more})"


class _Looked(NamedTuple):
    """The JSONPath of a reference; or of a list that holds references, with the way to them from there."""

    path: str
    within: str | None


def _looked(path: str) -> _Looked:
    top, repeats, rest = path.partition("[]")
    if not repeats:
        return _Looked(f"$.{top}.reference", None)
    return _Looked(f"$.{top}", f"$[*]{rest.replace('[]', '[*]')}.reference")


def _plain_query(given: Path, types: Sequence[str]) -> str:
    """Keys, patients by type, rows."""
    looked = {name: [_looked(path) for path in reference_paths(name)] for name in types}
    found = ["$.resourceType", "$.id", "$.meta.versionId", "$.meta.lastUpdated"]
    found += dict.fromkeys(one.path for ways in looked.values() for one in ways)
    key = {path: f"keys[{number}]" for number, path in enumerate(found, start=1)}
    patients = {}
    for name, ways in looked.items():
        own = [f"[{key['$.id']}]"] if name == "Patient" else []
        patients[name] = " || ".join([*own, *(_patients(key[one.path], one.within) for one in ways)]) or "[]"

    keys = (
        f"select json_extract_string(json, {found}) as keys, json::varchar as resource from {_lines(given)}"
    )
    return f"""
        select keys[2] as id, keys[3] as version_id,
            date_trunc('millisecond', try_cast(keys[4] as timestamptz)) as last_updated,
            each_once({_by_type("keys[1]", patients)}) as patient_ids,
            '{DATASTORE_ID}' as datastore_id, '{RUN_ID}' as run_id, resource
            {", keys[1] as resource_type" if len(types) > 1 else ""}
        from ({keys})"""


def _tuned_query(given: Path, types: Sequence[str]) -> str:
    """From the inside out: keys; the first reference, and whether others may name a patient; ids; rows."""
    looked = {name: [_looked(path) for path in reference_paths(name)] for name in types}
    found = ["$.id", "$.meta.versionId", "$.meta.lastUpdated"]
    found += ["$.resourceType"] if len(types) > 1 else []
    found += dict.fromkeys(one.path for ways in looked.values() for one in ways)
    key = {path: f"keys[{number}]" for number, path in enumerate(found, start=1)}
    kind = key.get("$.resourceType", f"'{types[0]}'")

    first, more, patients = {}, {}, {}
    for name, ways in looked.items():
        has_first = name != "Patient" and bool(ways) and ways[0].within is None
        first[name] = key[ways[0].path] if has_first else "null"
        others = ways[has_first:]
        more[name] = " or ".join(f"contains({key[one.path]}, 'Patient/')" for one in others) or "false"
        lists = (_patients(key[one.path], one.within) for one in others)
        patients[name] = " || ".join(["[first]", *lists])

    lines = _lines(given, ", ignore_errors=true")
    keys = (
        f"select json_extract_string(json, {found}) as keys, json::varchar as resource "
        f"from {lines} where json is not null"  # asked of the keys it would cost a fifth of the time
    )
    references = (
        f"select *, {kind} as resource_type, {_by_type(kind, first)} as reference, "
        f"{_by_type(kind, more)} as more from ({keys})"
    )
    firsts = (
        "select *, case when resource_type = 'Patient' then keys[1] else patient_of(reference) end as first "
        f"from ({references})"
    )
    ids = f"select *, case when more then {_by_type(kind, patients)} end as ids from ({firsts})"
    return f"""
        select keys[1] as id, keys[2] as version_id,
            date_trunc('millisecond', try_cast(keys[3] as timestamptz)) as last_updated,
            case when more then each_once(ids) when first is null then [] else [first] end as patient_ids,
            '{DATASTORE_ID}' as datastore_id, '{RUN_ID}' as run_id, resource
            {", resource_type" if len(types) > 1 else ""}
        from ({ids})"""


def _patients(key: str, within: str | None) -> str:
    if within is None:
        return f"[patient_of({key})]"
    return f"patients_of(json_extract_string({key}, '{within}'))"


def _by_type(kind: str, expressions: Mapping[str, str]) -> str:
    """One `case` for the types of each expression; the one that most have needs none."""
    types: dict[str, list[str]] = {}
    for name, expression in expressions.items():
        types.setdefault(expression, []).append(name)
    otherwise = max(types, key=lambda expression: len(types[expression]))
    cases = [
        f"when {kind} in ({', '.join(map(repr, names))}) then {expression}"
        for expression, names in types.items()
        if expression != otherwise
    ]
    return f"case {' '.join(cases)} else {otherwise} end" if cases else f"({otherwise})"
