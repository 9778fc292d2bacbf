"""The general tools that are said to make the lake's table make it: row for row, value for value, what the
range function writes for the same lines."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import range_function_work, same_table
from bench.fhir_data import KINDS, BenchData
from bench.stubbed_services import FileS3
from lake.fhir_schema import fhir_schema
from lake.parquet_files import ROW_GROUP_BYTES

ROOT = Path(__file__).parents[3]
MAKERS = (
    "DuckDB COPY, the lake's table",
    "DuckDB COPY, the lake's table, tuned",
    "polars sink, the lake's table",
    "orjson + pyarrow, the lake's table",
)
LEAVE_BROKEN_LINES_OUT = (MAKERS[1], MAKERS[3])
Rows = list[dict[str, Any]]

ME = {"reference": "Patient/me"}
DOCTOR = {"reference": "Practitioner/me"}
ABSOLUTE = {"reference": "https://example.org/fhir/Patient/absolute/_history/3"}
ODD = [
    {"reference": reference}
    for reference in (
        "Patient/part#name",
        "Patient/version|2",
        "Patient/old/_history/1",
        "Patient/old/_history",
        "Patient/no/Observation/1",
        "Patient?identifier=1",
        "Patient/",
        "#Patient/contained",
        "urn:uuid:5b9a2b1c-3d77-4a5e-9d2f-1f7c5a2d3e4f",
        "Practitioner?identifier=Patient/1",
        "https://example.org/Patients/Patient/x",
        "RelatedPerson/Patient",
    )
]
RESOURCES: tuple[dict[str, Any], ...] = (
    {"resourceType": "Observation", "subject": ME, "performer": [DOCTOR, {"reference": "Patient/other"}, ME]},
    {"resourceType": "Observation", "performer": [ABSOLUTE, {"display": "nobody"}, *ODD]},
    {"resourceType": "Observation", "subject": {"reference": "Group/1"}, "performer": []},
    *({"resourceType": "Condition", "subject": one, "asserter": ME} for one in ODD),
    {"resourceType": "Condition", "subject": {"identifier": {"value": "1"}}, "asserter": DOCTOR},
    {"resourceType": "Procedure", "subject": ME, "performer": [{"actor": ABSOLUTE}, {"function": {}}]},
    {"resourceType": "Patient", "link": [{"other": ME}, {"type": "seealso"}, {"other": ABSOLUTE}]},
    {"resourceType": "Patient", "link": [{"other": {"reference": "RelatedPerson/1"}}]},
    {
        "resourceType": "CarePlan",
        "subject": ME,
        "activity": [{"detail": {"performer": [DOCTOR, ABSOLUTE]}}, {}],
    },
    {
        "resourceType": "RequestGroup",
        "action": [{"participant": [ABSOLUTE, ME]}, {"participant": [ME, *ODD]}],
    },
    {"resourceType": "Claim", "patient": ME, "payee": {"party": ABSOLUTE}},
    {"resourceType": "Provenance", "target": [{"reference": "Observation/1"}, ME]},
    {"resourceType": "Binary", "contentType": "text/plain"},
)
INSTANTS = ("2026-11-21T10:00:00.123Z", "2026-11-21T10:00:00.123987+02:00", "2026-11-21T10:00:00Z", None)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> BenchData:
    return BenchData(cache=tmp_path_factory.mktemp("data"))


def lines_of(resources: Iterable[dict[str, Any]]) -> bytes:
    """Lines with all kinds of meta, spaces and letters past ASCII."""
    lines = []
    for number, resource in enumerate(resources):
        instant = INSTANTS[number % len(INSTANTS)]
        meta = {"versionId": "1"} if instant is None else {"versionId": str(number), "lastUpdated": instant}
        stamped = {**resource, "id": f"id-{number:03}", "note": 'Zoë says 1.0 \\ "2"'}
        lines.append(json.dumps({**stamped, "meta": meta} if number % 7 else stamped, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines).encode()


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    path = tmp_path / "odd.ndjson"
    path.write_bytes(lines_of(RESOURCES))
    return path


def rows_of(files: Iterable[tuple[str, Any]]) -> Rows:
    """The rows of files with the type that their names give, sorted by type and id."""
    rows: Rows = []
    for name, file in files:
        (resource_type,) = (part[14:] for part in Path(name).parts if part.startswith("resource_type="))
        table = pq.ParquetFile(file).read()
        assert table.column_names == fhir_schema().names
        rows += [{"resource_type": resource_type, **row} for row in table.to_pylist()]
    return sorted(rows, key=lambda row: (row["resource_type"], row["id"]))


def rows_of_the_lake(given: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Rows:
    """What the range function writes."""
    objects: dict[str, bytes] = {}

    class Lake(FileS3):
        def put_object(self, **request: Any) -> dict[str, str]:
            objects[request["Key"]] = bytes(request["Body"])
            return {"ETag": "etag"}

    monkeypatch.setattr(range_function_work, "FileS3", Lake)
    own = folder / "hub"
    own.mkdir()
    range_function_work.parquet(given, own)()
    return rows_of((key, pa.BufferReader(body)) for key, body in objects.items() if key.endswith(".parquet"))


def rows_of_the_tool(tool: str, given: Path, folder: Path) -> Rows:
    """What a tool writes in a process of its own, as the benchmark starts it."""
    packages = ROOT / ".cache/bench/lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    needed = {"polars": "polars", "orjson": "orjson"}.get(tool.split()[0])
    if needed and not (packages / needed).is_dir():
        pytest.skip(f"{needed} is not installed in {packages}: run `make .cache/bench/.installed`")
    path = os.pathsep.join(map(str, (ROOT, ROOT / "functions", packages)))
    folder.mkdir(exist_ok=True)
    finished = subprocess.run(
        [sys.executable, "-m", "bench.tools", tool, str(given), str(given), str(folder)],
        env={**os.environ, "PYTHONPATH": path},
        input="go\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    told = json.loads(finished.stdout.splitlines()[-1])
    assert "failed" not in told, told
    return rows_of((str(file), file) for file in sorted((folder / "lake").rglob("*.parquet")))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tool", MAKERS)
def test_a_tool_makes_the_lakes_table(
    tool: str, kind: str, data: BenchData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = data.input(kind, 300_000).path

    expected = rows_of_the_lake(given, tmp_path, monkeypatch)

    assert len(expected) == given.read_bytes().count(b"\n")
    assert rows_of_the_tool(tool, given, tmp_path) == expected


@pytest.mark.parametrize("tool", MAKERS)
def test_a_tool_finds_the_patients_that_the_hub_finds(
    tool: str, odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rows_of_the_lake(odd, tmp_path, monkeypatch)

    assert expected[-1]["resource_type"] == "RequestGroup"
    assert expected[-1]["patient_ids"][:2] == ["absolute", "me"]
    assert rows_of_the_tool(tool, odd, tmp_path) == expected


@pytest.mark.parametrize("tool", LEAVE_BROKEN_LINES_OUT)
def test_a_tool_leaves_out_a_line_that_is_no_json(tool: str, odd: Path, tmp_path: Path) -> None:
    whole = rows_of_the_tool(tool, odd, tmp_path / "whole")
    broken = tmp_path / "broken.ndjson"
    broken.write_bytes(odd.read_bytes().replace(b"\n", b'\n{"resourceType":"Observation","id":"x\n', 3))

    assert rows_of_the_tool(tool, broken, tmp_path / "left") == whole


def test_instants_of_the_lines_are_cut_to_the_millisecond(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = [row for row in rows_of_the_lake(odd, tmp_path, monkeypatch) if row["id"] == "id-001"]

    assert row["last_updated"] == datetime(2026, 11, 21, 8, 0, 0, 123_000, tzinfo=UTC)


def test_row_groups_are_as_large_as_the_lakes() -> None:
    assert same_table.ROW_GROUP_BYTES == ROW_GROUP_BYTES
