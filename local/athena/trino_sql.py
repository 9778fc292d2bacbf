"""Trino's SQL in DuckDB's words.

Follows the Trino documentation, «Functions and operators» (which «Functions in Amazon Athena», engine version
3, refers to). What DuckDB has under the same name and with the same meaning needs nothing here. A function
that neither has nor is named below fails as one that is not registered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local.athena.sql_text import Word, closing, meaningful, split, words

# Aggregates, and functions that take a lambda, cannot be macros: they get DuckDB's name in a call.
_RENAMED = {
    "approx_distinct": "approx_count_distinct",
    "approx_percentile": "approx_quantile",
    "arbitrary": "any_value",
    "transform": "list_transform",
}

# DuckDB reads numbers of JSON as doubles, and 1.10 becomes 1.1. Trino's json_extract_scalar gives a number's
# text as it stands (Jackson's getText). So numbers are made strings first: a string is matched whole and
# stays, a number is put between two characters that JSON text cannot contain, which then become quotes.
_NUMBERS_AS_TEXT = r"""
replace(replace(regexp_replace(j::varchar,
    '("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)', '\1' || chr(1) || '\2' || chr(1), 'g'),
    chr(1) || chr(1), ''), chr(1), '"')
"""

MACROS = (
    f"numbers_as_text(j) AS {_NUMBERS_AS_TEXT}",
    # Trino writes $["a b"], DuckDB $."a b".
    """quoted_path(path) AS regexp_replace(path, '\\["([^"]*)"\\]', '."\\1"', 'g')""",
    # «Extracts ... as a string; the value must be a scalar», and «NULL» for what is no JSON.
    """json_extract_scalar(j, path) AS CASE WHEN json_valid(j)
       AND coalesce(json_type(j, quoted_path(path)), 'NULL') NOT IN ('OBJECT', 'ARRAY', 'NULL')
       THEN json_extract_string(numbers_as_text(j), quoted_path(path)) END""",
    """json_extract(j, path) AS CASE WHEN json_valid(j)
       THEN system.main.json_extract(j, quoted_path(path)) END""",
    "json_parse(j) AS CAST(j AS JSON)",
    "json_format(j) AS CAST(j AS VARCHAR)",
    """json_size(j, path) AS CASE json_type(j, path) WHEN 'ARRAY' THEN json_array_length(j, path)
       WHEN 'OBJECT' THEN len(json_keys(j, path)) ELSE 0 END""",
    "json_array_contains(j, v) AS list_contains(CAST(j AS VARCHAR[]), CAST(v AS VARCHAR))",
    "cardinality(x) AS len(x)",
    "element_at(l, i) AS list_extract(l, i)",
    "array_join(l, separator) AS array_to_string(l, separator)",
    "regexp_like(text, pattern) AS regexp_matches(text, pattern)",
    # «Parses the ISO 8601 formatted date|time string into a timestamp with time zone»; sessions are in UTC.
    "from_iso8601_timestamp(text) AS CAST(text AS TIMESTAMPTZ)",
    "from_iso8601_date(text) AS CAST(text AS DATE)",
    "to_iso8601(t) AS strftime(CAST(t AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%gZ')",
    "from_unixtime(seconds) AS to_timestamp(seconds)",
    "to_unixtime(t) AS epoch(t)",
    # DuckDB's date_diff counts boundaries that are crossed, Trino's whole units that have passed.
    "date_diff(unit, a, b) AS date_sub(unit, CAST(a AS TIMESTAMP), CAST(b AS TIMESTAMP))",
    """date_add(unit, n, t) AS t + CASE unit
       WHEN 'millisecond' THEN to_milliseconds(n) WHEN 'second' THEN to_seconds(n)
       WHEN 'minute' THEN to_minutes(n) WHEN 'hour' THEN to_hours(n) WHEN 'day' THEN to_days(n)
       WHEN 'week' THEN to_weeks(n) WHEN 'month' THEN to_months(n) WHEN 'quarter' THEN to_months(3 * n)
       WHEN 'year' THEN to_years(n) END""",
)

SETTINGS = (
    "SET TimeZone = 'UTC'",
    "SET integer_division = true",
    "SET default_null_order = 'nulls_last'",
    "SET lambda_syntax = 'ENABLE_SINGLE_ARROW'",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
)


def teach(connection: Any) -> None:
    """Let the connection know Trino's functions and habits."""
    for setting in SETTINGS:
        connection.execute(setting)
    for macro in MACROS:
        connection.execute(f"CREATE MACRO {macro}")


def translated(sql: str) -> str:
    """The statement for DuckDB: types and names of functions that are written otherwise."""
    found = words(sql)
    result: list[str] = []
    index = 0
    while index < len(found):
        taken, text = _translated_at(found, index)
        result.append(text)
        index += taken
    return "".join(result)


def _translated_at(found: Sequence[Word], index: int) -> tuple[int, str]:
    """How many words to take from `index` on, and what stands for them."""
    word = found[index]
    following = next((one for one in found[index + 1 :] if one.kind != "space"), None)
    if word.kind != "name" or following is None or not following.says("("):
        return 1, word.text
    if word.text.lower() in ("array", "map", "row") and _is_type(found, index):
        opening = next(place for place in range(index, len(found)) if found[place].says("("))
        end = closing(found, opening)
        return end + 1 - index, duckdb_type("".join(one.text for one in found[index : end + 1]))
    return 1, _RENAMED.get(word.text.lower(), word.text)


def _is_type(found: Sequence[Word], index: int) -> bool:
    """Types stand behind AS in a cast; `array(...)` there is nothing else."""
    before = next((one for one in reversed(found[:index]) if one.kind != "space"), None)
    return before is not None and before.says("as")


def duckdb_type(trino: str) -> str:
    """DuckDB's name of one of Trino's types: `array(row(a varchar))` is `STRUCT(a varchar)[]`."""
    found = meaningful(trino)
    head = found[0].text.lower()
    inner = found[2:-1] if len(found) > 2 else []
    if head == "array" and inner:
        return f"{duckdb_type(_text(inner))}[]"
    if head == "map" and inner:
        return f"MAP({', '.join(duckdb_type(_text(part)) for part in split(inner))})"
    if head == "row" and inner:
        fields = (f"{part[0].text} {duckdb_type(_text(part[1:]))}" for part in split(inner))
        return f"STRUCT({', '.join(fields)})"
    return trino.strip()


def _text(found: Sequence[Word]) -> str:
    return " ".join(word.text for word in found)
