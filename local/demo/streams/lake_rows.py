"""Rows of the lake that changes of the records table have become, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from local.cli.lake.athena import Athena
from local.demo.streams.items import Image
from local.demo.streams.plain_values import parsed, says
from local.demo.streams.plan import Change, Plan

MOST_PROBLEMS = 20

_COLUMNS = "event_id, change, item_type, item_id, sk, stream_label, sequence_number, item, old_item"
_JOINED = """
select count(*) from records_current r
join fhir_current f on f.resource_type = 'Patient' and f.id = r.item_id
where r.item_type = 'Patient'
"""


@dataclass(frozen=True)
class Row:
    """A row of the table `records`."""

    event_id: str
    change: str
    item_type: str
    item_id: str
    sk: str
    stream_label: str
    sequence_number: str
    item: str | None
    old_item: str | None


def distinct_rows(athena: Athena, prefix: str) -> int:
    """How many distinct events there are rows of, of items whose id begins so."""
    sql = f"select count(distinct event_id) from records where item_id like '{prefix}%'"  # noqa: S608
    _, rows = athena.columns_and_rows(athena.run(sql).query_id)
    [[number]] = rows
    return int(number or 0)


def rows_of(athena: Athena, prefix: str) -> list[Row]:
    """All rows of items whose id begins so, repeated ones too."""
    sql = f"select {_COLUMNS} from records where item_id like '{prefix}%'"  # noqa: S608
    _, rows = athena.columns_and_rows(athena.run(sql).query_id)
    return [Row(*row) for row in rows]  # type: ignore[arg-type]  # only the last two are ever null


def joined_patients(athena: Athena) -> int:
    """How many patients are in both the records and the resources that were exported."""
    _, rows = athena.columns_and_rows(athena.run(_JOINED).query_id)
    [[number]] = rows
    return int(number or 0)


def row_problems(plan: Plan, rows: Sequence[Row]) -> list[str]:
    """What the rows tell otherwise than the plan has it, each event once, an item's in the order of streams
    and sequence numbers."""
    told: dict[tuple[str, str], list[Row]] = {}
    once = {row.event_id: row for row in rows}
    for row in sorted(once.values(), key=lambda row: (row.stream_label, int(row.sequence_number))):
        told.setdefault((row.item_id, row.sk), []).append(row)
    found = []
    for key, history in plan.histories().items():
        of_item = told.pop((key.id, key.sk), [])
        if len(of_item) != len(history):
            found.append(f"{key}: {len(of_item)} rows of {len(history)} changes")
            continue
        for number, (change, row) in enumerate(zip(history, of_item, strict=True)):
            found += [f"{key}, row {number}, {change.name}: {wrong}" for wrong in _wrong(change, row)]
    found += [f"{name}: {len(of_item)} rows of what nobody wrote" for name, of_item in told.items()]
    return found[:MOST_PROBLEMS]


def _wrong(change: Change, row: Row) -> Iterator[str]:
    if (row.change, row.item_type) != (change.name, change.key.item_type):
        yield f"is a row of {row.item_type}, {row.change}"
    if not _says(row.item, change.new):
        yield "the item is another"
    if not _says(row.old_item, change.old):
        yield "the item before it is another"


def _says(text: str | None, image: Image | None) -> bool:
    return says(None if text is None else parsed(text), image)
