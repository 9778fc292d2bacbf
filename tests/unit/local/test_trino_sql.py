"""Trino's functions in the local Athena, with what Trino's documentation says that they give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from local.athena.result_values import column_name, csv_line, value_text
from local.athena.trino_sql import duckdb_type, teach, translated


@pytest.fixture(scope="module")
def connection() -> Iterator[Any]:
    with duckdb.connect() as opened:
        teach(opened)
        yield opened


PATIENT = (
    '\'{"name":[{"family":"Ünal","given":["A"]}],"a b":true,"n":null,"s":"1.10 \\" 2","v":[1.10,-1.0e-3]}\''
)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (f"json_extract_scalar({PATIENT}, '$.name[0].family')", "Ünal"),
        (f"json_extract_scalar({PATIENT}, '$[\"a b\"]')", "true"),
        (f"json_extract_scalar({PATIENT}, '$.v[0]')", "1.10"),
        (f"json_extract_scalar({PATIENT}, '$.v[1]')", "-1.0e-3"),
        (f"json_extract_scalar({PATIENT}, '$.s')", '1.10 " 2'),
        (f"json_extract_scalar({PATIENT}, '$.name')", None),
        (f"json_extract_scalar({PATIENT}, '$.n')", None),
        (f"json_extract_scalar({PATIENT}, '$.nosuch')", None),
        ("json_extract_scalar('no json', '$.a')", None),
        (
            "json_extract_scalar('{\"a\":100000000000000000000000000000}', '$.a')",
            "100000000000000000000000000000",
        ),
        (f"cast(json_extract_scalar({PATIENT}, '$.v[0]') as decimal(10, 2))", "1.10"),
        (f"json_extract({PATIENT}, '$.name[0].given')", '["A"]'),
        ("json_extract('no json', '$.a')", None),
        (f"json_array_length(json_extract({PATIENT}, '$.v'))", "2"),
        (f"json_size({PATIENT}, '$.v')", "2"),
        (f"cardinality(cast(json_extract({PATIENT}, '$.name') as array(json)))", "1"),
        ('cast(json_parse(\'["a","b"]\') as array(varchar))', "[a, b]"),
        ("cast(map(array['a'], array[1]) as map(varchar, bigint))", "{a=1}"),
        ("cast(row(1, 'x') as row(a bigint, b varchar))", "{a=1, b=x}"),
        ("contains(array['a', 'b'], 'b')", "true"),
        ("cardinality(array[1, 2, 3])", "3"),
        ("element_at(array['a', 'b'], -1)", "b"),
        ("element_at(array['a'], 2)", None),
        ("array_join(array['a', 'b'], '+')", "a+b"),
        ("transform(array[1, 2], x -> x + 1)", "[2, 3]"),
        ("filter(array[1, 2], x -> x > 1)", "[2]"),
        ("try_cast('x' as bigint)", None),
        ("try(1 / 0)", None),
        ("7 / 2", "3"),
        ("date_diff('day', timestamp '2026-01-01 23:00:00', timestamp '2026-01-02 01:00:00')", "0"),
        ("date_diff('hour', timestamp '2026-01-01 23:00:00', timestamp '2026-01-02 01:30:00')", "2"),
        ("date_add('month', 1, timestamp '2026-01-31 00:00:00')", "2026-02-28 00:00:00.000"),
        ("from_iso8601_timestamp('2026-11-20T01:00:00+01:00')", "2026-11-20 00:00:00.000 UTC"),
        ("to_iso8601(timestamp '2026-11-20 00:00:00.5')", "2026-11-20T00:00:00.500Z"),
        ("timestamp '2026-11-20 00:00:00' < from_iso8601_timestamp('2026-11-20T00:00:01Z')", "true"),
        ("regexp_like('ab12', '[0-9]+')", "true"),
        ("date_trunc('day', timestamp '2026-11-20 10:00:00')", "2026-11-20 00:00:00.000"),
        ("1e10", "1.0E10"),
        ("cast(1.5 as double)", "1.5"),
    ],
)
def test_an_expression_has_the_value_that_trino_gives(
    connection: Any, expression: str, value: str | None
) -> None:
    row = connection.execute(translated(f"SELECT {expression}")).fetchone()
    assert value_text(row[0]) == value


def test_unnest_goes_beside_the_row_it_comes_from(connection: Any) -> None:
    sql = (
        "SELECT id, patient FROM (VALUES ('a', array['p', 'q']), ('b', array['r'])) AS t(id, patients) "
        "CROSS JOIN UNNEST(patients) AS u(patient) ORDER BY 1, 2"
    )
    assert connection.execute(translated(sql)).fetchall() == [("a", "p"), ("a", "q"), ("b", "r")]


def test_text_and_comments_are_never_translated() -> None:
    sql = "SELECT 'arbitrary(x) as array(json)' -- arbitrary(x)\n, \"transform\" /* as array(json) */"
    assert translated(sql) == sql


@pytest.mark.parametrize(
    ("trino", "duckdb_name"),
    [
        ("varchar", "varchar"),
        ("decimal(10, 2)", "decimal(10, 2)"),
        ("array(array(json))", "json[][]"),
        ("map(varchar, array(bigint))", "MAP(varchar, bigint[])"),
        ("array(row(code varchar, n bigint))", "STRUCT(code varchar, n bigint)[]"),
    ],
)
def test_types_are_written_as_duckdb_does(trino: str, duckdb_name: str) -> None:
    assert duckdb_type(trino) == duckdb_name


def test_a_column_without_a_name_gets_one_by_its_place() -> None:
    sql = 'select count(*), ID, id as "Full Name"'
    names = [column_name(name, index, sql) for index, name in enumerate(["count_star()", "ID", "Full Name"])]
    assert names == ["_col0", "id", "full name"]


def test_a_line_of_csv_tells_null_from_nothing() -> None:
    assert csv_line(["a", None, "", 'say "x"']) == '"a",,"","say ""x"""\n'
