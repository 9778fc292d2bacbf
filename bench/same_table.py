"""The lake's table, as one would make it with general tools: the same columns with the same values, a folder
for each resource type, row groups as large where asked for, Zstandard's fastest level, one processor.

Each tool is told which types a file has and how long its lines are, for whoever exports a file knows that:
finding it out takes no time of the work. The patients of a resource are found along the paths of the
compartment table; nothing else here is the product's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from bench.timed_work import Work
from common.units import MEBIBYTE
from healthlake_export.patient_compartment import patient_id, reference_paths
from healthlake_export.resource_keys import ResourceKeys, read_keys

DATASTORE_ID = "0123456789abcdef0123456789abcdef"
RUN_ID = "bench"
ROW_GROUP_BYTES = 16 * MEBIBYTE

PATIENT = r"^(?:[^?#|]*/)?Patient/([^/?#|\s]+)(?:/_history(?:/[^?#|]*)?)?(?:[#|].*)?$"
"""What `patient_id` looks for, in the syntax of RE2 and of Rust's expressions."""


class Known(NamedTuple):
    """What is known of a file beforehand: the resource types in it, and how many lines are a row group."""

    types: Sequence[str]
    group_rows: int


def known_of(given: Path) -> Known:
    types, lines = set(), 0
    with given.open("rb") as file:
        for lines, line in enumerate(file, start=1):  # noqa: B007 - the last number is how many there are
            keys = read_keys(line)
            if isinstance(keys, ResourceKeys):
                types.add(keys.resourceType)
    return Known(sorted(types), max(1, ROW_GROUP_BYTES * lines // max(1, given.stat().st_size)))


def file_of(folder: Path, resource_type: str) -> Path:
    path = folder / "lake" / f"resource_type={resource_type}" / "rows.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def polars_same_table(given: Path, folder: Path) -> Work:
    """polars, streaming. It decodes only the members that are asked for, and stops at a line that is no JSON.

    Raises `ValueError` for a file in which a member repeats in one type and not in another.
    """
    os.environ["POLARS_MAX_THREADS"] = "1"
    import polars as pl

    known = known_of(given)
    shape: dict[str, Any] = {"resourceType": "", "id": "", "meta": {"versionId": "", "lastUpdated": ""}}
    for path in {path for name in known.types for path in reference_paths(name)}:
        _add_to(shape, path)
    decoded = _polars_type(pl, shape)
    target: Any = file_of(folder, known.types[0])
    if len(known.types) > 1:
        target = pl.PartitionBy(folder / "lake", key="resource_type", include_key=False)
    options = {"compression": "zstd", "compression_level": 1, "row_group_size": known.group_rows}

    def work() -> None:
        found = pl.scan_lines(given, name="resource").with_columns(
            pl.col("resource").str.json_decode(decoded).alias("keys")
        )
        columns = _polars_columns(pl, known.types)
        found.select(columns).sink_parquet(target, mkdir=True, **options)

    return work


def _add_to(shape: dict[str, Any], path: str) -> None:
    """Add the members on the way to a reference: objects as dict, lists as list of one, texts as text."""
    for step in path.split("."):
        name = step.removesuffix("[]")
        member: Any = [{}] if name != step else {}
        known = shape.setdefault(name, member)
        if type(known) is not type(member):
            raise ValueError(f"{name} repeats in one type and not in another")
        shape = known[0] if isinstance(known, list) else known
    shape["reference"] = ""


def _polars_type(pl: Any, shape: Any) -> Any:
    if isinstance(shape, list):
        return pl.List(_polars_type(pl, shape[0]))
    if isinstance(shape, dict):
        return pl.Struct({name: _polars_type(pl, member) for name, member in shape.items()})
    return pl.String


def _polars_columns(pl: Any, types: Sequence[str]) -> list[Any]:
    keys = pl.col("keys").struct
    kind, meta = keys.field("resourceType"), keys.field("meta").struct
    instant = meta.field("lastUpdated").str.to_datetime("%+", time_unit="ms", time_zone="UTC", strict=False)
    columns = [
        keys.field("id"),
        meta.field("versionId").alias("version_id"),
        instant.alias("last_updated"),
        _polars_patients(pl, keys, kind, types).alias("patient_ids"),
        pl.lit(DATASTORE_ID).alias("datastore_id"),
        pl.lit(RUN_ID).alias("run_id"),
        pl.col("resource"),
    ]
    return [*columns, kind.alias("resource_type")] if len(types) > 1 else columns


def _polars_patients(pl: Any, keys: Any, kind: Any, types: Sequence[str]) -> Any:
    """The ids along the n-th path of all types make up one column, and the lists of ids another."""
    columns = []
    ways = {name: [*(["id"] if name == "Patient" else []), *reference_paths(name)] for name in types}
    for number in range(max(map(len, ways.values()))):
        for repeats in (False, True):
            names: dict[str, list[str]] = {}
            for name, paths in ways.items():
                if number < len(paths) and ("[]" in paths[number]) == repeats:
                    names.setdefault(paths[number], []).append(name)
            if names:
                ids = [(_polars_ids(pl, keys, path), of) for path, of in names.items()]
                chosen = pl.coalesce([pl.when(kind.is_in(of)).then(found) for found, of in ids])
                column = ids[0][0] if len(types) == 1 else chosen
                columns.append(column.fill_null([]) if repeats else column)
    if not columns:
        return pl.lit([], pl.List(pl.String))
    return pl.concat_list(columns).list.drop_nulls().list.unique(maintain_order=True)


def _polars_ids(pl: Any, keys: Any, path: str) -> Any:
    if path == "id":
        return keys.field("id")
    outer, *inner = path.split("[]")
    members = _polars_member(keys, outer.split("."))
    if not inner:
        return _polars_patient(pl, members.struct.field("reference"))
    within = pl.element()
    for number, steps in enumerate(inner):
        within = within.list.explode() if number else within
        within = _polars_member(within.struct, steps.split(".")[1:]) if steps else within
    return members.list.eval(_polars_patient(pl, within.struct.field("reference")))


def _polars_member(parts: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        member = parts.field(step)
        parts = member.struct
    return member


def _polars_patient(pl: Any, reference: Any) -> Any:
    """The expression that finds every id is slow, and most references need none."""
    plain = reference.str.starts_with("Patient/") & ~reference.str.contains("[?#|]|/.*/|/$")
    others = pl.when(~plain & reference.str.contains("Patient/", literal=True)).then(reference)
    return pl.when(plain).then(reference.str.strip_prefix("Patient/")).otherwise(others.str.extract(PATIENT))


def orjson_same_table(given: Path, folder: Path) -> Work:
    """A program as one would write it: orjson, rows of each type in lists, and a writer for each type. It
    leaves out lines that are no JSON."""
    import orjson
    import pyarrow as pa

    from lake.fhir_schema import fhir_schema

    schema = fhir_schema()
    known_id = lru_cache(maxsize=20_000)(patient_id)

    def work() -> None:
        files: dict[str, _TypeFile] = {}
        with given.open("rb") as lines:
            for line in lines:
                try:
                    resource = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                resource_type = resource["resourceType"]
                file = files.get(resource_type)
                if file is None:
                    path = file_of(folder, resource_type)
                    file = files[resource_type] = _TypeFile(pa, schema, path, resource_type, known_id)
                file.add(resource, line)
        for file in files.values():
            file.close()

    return work


class _TypeFile:
    """Rows of one type, written when they are a row group."""

    def __init__(
        self, pa: Any, schema: Any, path: Path, resource_type: str, known_id: Callable[[str], str | None]
    ) -> None:
        from pyarrow import parquet

        repeated = ["version_id", "datastore_id", "run_id"]
        self._writer = parquet.ParquetWriter(
            path, schema, compression="zstd", compression_level=1, use_dictionary=repeated
        )
        self._pa, self._schema = pa, schema
        self._is_patient = resource_type == "Patient"
        self._paths = [_steps(path) for path in reference_paths(resource_type)]
        self._known_id = known_id
        self._empty()

    def _empty(self) -> None:
        self._ids: list[str] = []
        self._versions: list[str | None] = []
        self._instants: list[str | None] = []
        self._patients: list[list[str]] = []
        self._texts: list[bytes] = []
        self._bytes = 0

    def add(self, resource: dict[str, Any], line: bytes) -> None:
        meta = resource.get("meta", {})
        text = line.rstrip(b"\r\n")
        self._ids.append(resource["id"])
        self._versions.append(meta.get("versionId"))
        self._instants.append(meta.get("lastUpdated"))
        self._patients.append(self._patients_of(resource))
        self._texts.append(text)
        self._bytes += len(text)
        if self._bytes >= ROW_GROUP_BYTES:
            self._write()

    def _patients_of(self, resource: dict[str, Any]) -> list[str]:
        found = [resource["id"]] if self._is_patient else []
        for path in self._paths:
            for reference in _references(resource, path):
                patient = self._known_id(reference)
                if patient and patient not in found:
                    found.append(patient)
        return found

    def _write(self) -> None:
        pa, rows = self._pa, len(self._ids)
        instants = pa.array(self._instants, pa.string()).cast(pa.timestamp("us", "UTC"))
        columns = [
            pa.array(self._ids, pa.string()),
            pa.array(self._versions, pa.string()),
            instants.cast(pa.timestamp("ms", "UTC"), safe=False),
            pa.array(self._patients, self._schema.field("patient_ids").type),
            pa.repeat(DATASTORE_ID, rows),
            pa.repeat(RUN_ID, rows),
            pa.array(self._texts, pa.binary()).cast(pa.string()),
        ]
        self._writer.write_table(pa.table(columns, schema=self._schema), row_group_size=rows)
        self._empty()

    def close(self) -> None:
        if self._ids:
            self._write()
        self._writer.close()


def _steps(path: str) -> list[tuple[str, bool]]:
    """The members on the way, and whether they repeat."""
    return [(step.removesuffix("[]"), step.endswith("[]")) for step in path.split(".")]


def _references(resource: dict[str, Any], path: Iterable[tuple[str, bool]]) -> Iterable[str]:
    parts: list[Any] = [resource]
    for name, repeats in path:
        parts = [part[name] for part in parts if name in part]
        if repeats:
            parts = [member for members in parts for member in members]
        if not parts:
            return ()
    return [part["reference"] for part in parts if "reference" in part]
