"""The lake's files of whole exports: what went in comes back byte for byte."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from healthlake_export import lake_files as range_files
from healthlake_export import object_bytes
from healthlake_export.errors import ReconciliationFailed
from healthlake_export.run_context import RunContext
from local.testing.lake_rows import SILENT, exported_lab, lake_files, lake_rows, lake_texts
from local.testing.line_mutations import mutated_file, resource_lines
from local.testing.range_lab import RUN, Lab, patient

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT.parent / "shared" / "fhir"
MARK = b"\xef\xbb\xbf"


def type_of(line: bytes) -> str:
    found: str = json.loads(line)["resourceType"]
    return found


def by_type(lines: Sequence[bytes]) -> dict[str, list[bytes]]:
    lines_of = defaultdict(list)
    for line in lines:
        lines_of[type_of(line)].append(line)
    return dict(lines_of)


def rows_of(*resources: object) -> list[dict[str, Any]]:
    return lake_rows(exported_lab(b"\n".join(json.dumps(one).encode() for one in resources)).s3.objects)


@pytest.mark.parametrize("size", [50_000, 300_000, 1 << 20])
def test_the_files_of_a_run_give_the_exported_lines_back(size: int) -> None:
    lines = resource_lines(2_000)
    objects = exported_lab(b"\n".join(lines) + b"\n", size).s3.objects
    assert lake_texts(objects) == by_type(lines)


@pytest.mark.parametrize("path", sorted(SAMPLE.glob("*.ndjson.gz")) or [SAMPLE], ids=lambda path: path.name)
def test_the_files_of_a_run_over_sample_data_give_its_bytes_back(path: Path) -> None:
    if not path.is_file():
        pytest.skip(f"no sample data in {path}: nothing was compared")
    content = gzip.decompress(path.read_bytes())
    (texts,) = lake_texts(exported_lab(content, 400_000).s3.objects).values()
    assert b"".join(text + b"\n" for text in texts) == content


LINES = [
    *resource_lines(40),
    '{"resourceType":"Patient","id":"p","name":[{"family":"Åßµ 😀"}]}'.encode(),
    b'{"resourceType":"Patient","id":"spaces"}  \t',
    b' {"id":"later","resourceType":"Patient"}',
    b'{"resourceType":"Observation","id":"loose","subject":"Patient/p","valueDecimal":1.10}',
    b'{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p"},"note":"\\u0000\\ud83d\\ude00"}',
    b'{"resourceType":"Basic","id":"long","text":"%b"}' % (b"x" * 3_000),
]


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(LINES), st.sampled_from([b"\n", b"\n", b"\r\n", b"\n\n", b"\n \t\n"])),
        min_size=1,
        max_size=30,
    ),
    mark=st.sampled_from([b"", MARK]),
    ends=st.booleans(),
    size=st.integers(200, 20_000),
)
def test_lines_of_any_form_come_back(
    parts: list[tuple[bytes, bytes]], mark: bytes, ends: bool, size: int
) -> None:
    content = mark + b"".join(text + end for text, end in parts)
    lab = exported_lab(content if ends else content.rstrip(b"\r\n"), size)
    assert lake_texts(lab.s3.objects) == by_type([text for text, _ in parts])
    assert lab.quarantined() == []


@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_damaged_file_every_line_is_in_the_lake_or_in_quarantine(seed: int) -> None:
    content = mutated_file(seed, resource_lines(300), 2_000)
    lab = exported_lab(content, 250_000)
    kept = [text for texts in lake_texts(lab.s3.objects).values() for text in texts]
    kept += [lab.text_of(record) for record in lab.quarantined()]
    lines = [line.removesuffix(b"\r") for line in content.removeprefix(MARK).split(b"\n")]
    assert sorted(kept) == sorted(line for line in lines if line.strip())


@pytest.fixture
def small_row_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups, and pieces that are read at once, of a few lines."""
    monkeypatch.setattr(object_bytes, "CHUNK_BYTES", 2_000)
    monkeypatch.setattr(range_files, "ROW_GROUP_BYTES", 6_000)
    monkeypatch.setattr(range_files, "_TABLE_BYTES", 1_000)


def row_groups(objects: Mapping[str, bytes]) -> list[int]:
    """How many the files have."""
    return [pq.ParquetFile(pa.BufferReader(file)).num_row_groups for file in lake_files(objects).values()]


@pytest.mark.parametrize("run", [SILENT, RUN], ids=["by the block", "one by one"])
@pytest.mark.usefixtures("small_row_groups")
def test_files_of_many_row_groups_have_each_line_once_and_in_its_order(run: RunContext) -> None:
    lines = [*resource_lines(200), *(patient(number) for number in range(200))]
    lab = Lab.holding(b"\n".join(lines))
    lab.process(lab.ranges(), run)
    assert lake_texts(lab.s3.objects) == by_type(lines)
    assert lab.reconcile(lab.ranges(), run).rows == 400
    assert max(row_groups(lab.s3.objects)) > 3


@pytest.mark.usefixtures("small_row_groups")
def test_what_is_refused_is_in_no_row_group() -> None:
    lab = Lab.holding(b"\n".join(patient(number) for number in range(200)))
    refused = {f"p{number}" for number in (0, *range(40, 75), 120, 199)}
    lab.bus.refused = dict.fromkeys(refused, "MalformedDetail")
    lab.process(lab.ranges())
    ids = [row["id"] for row in lake_rows(lab.s3.objects)]
    assert ids == [f"p{number}" for number in range(200) if f"p{number}" not in refused]
    assert len(lab.quarantined()) == lab.reconcile(lab.ranges()).quarantined == len(refused)
    assert row_groups(lab.s3.objects) > [3]


def test_an_export_without_resources_makes_no_file() -> None:
    for content in (b"\n", b"\n \n\r\n", MARK, b"{corrupt}\n"):
        assert lake_files(exported_lab(content).s3.objects) == {}


def test_a_type_with_one_resource_has_a_file_of_one_row() -> None:
    lines = [*(patient(number) for number in range(5)), b'{"resourceType":"Basic","id":"b1"}']
    objects = exported_lab(b"\n".join(lines)).s3.objects
    assert list(lake_files(objects)) == [
        "fhir/resource_type=Basic/export_date=2026-11-20/run-1-000000.parquet",
        "fhir/resource_type=Patient/export_date=2026-11-20/run-1-000000.parquet",
    ]
    assert lake_texts(objects)["Basic"] == lines[-1:]


def test_the_columns_say_what_the_resource_says() -> None:
    resource = {
        "resourceType": "Observation",
        "id": "o1",
        "meta": {"versionId": "3", "lastUpdated": "2026-11-20T10:00:00.123Z"},
        "subject": {"reference": "Patient/p1"},
        "performer": [{"reference": "Practitioner/d1"}, {"reference": "https://host/r4/Patient/p2"}],
    }
    assert rows_of(resource) == [
        {
            "resource_type": "Observation",
            "id": "o1",
            "version_id": "3",
            "last_updated": datetime(2026, 11, 20, 10, 0, 0, 123_000, UTC),
            "patient_ids": ["p1", "p2"],
            "datastore_id": "store",
            "run_id": "run-1",
            "resource": json.dumps(resource),
        }
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00+00:00"),
        ("2026-11-20T10:00:00.1Z", "2026-11-20T10:00:00.100+00:00"),
        ("2026-11-20T10:00:00.123456789Z", "2026-11-20T10:00:00.123+00:00"),
        ("2026-11-20T10:00:00.9999999Z", "2026-11-20T10:00:00.999+00:00"),
        ("2026-11-20T10:00:00.123+02:00", "2026-11-20T08:00:00.123+00:00"),
        ("2026-11-20T00:15:00-05:30", "2026-11-20T05:45:00+00:00"),
        ("2024-02-29T23:59:59.999+14:00", "2024-02-29T09:59:59.999+00:00"),
        ("1969-12-31T23:59:59.9995Z", "1969-12-31T23:59:59.999+00:00"),
        ("2026-11-20T10:00:00", None),
        ("2026-11-20", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_an_instant_is_read_with_its_offset_and_cut_to_the_millisecond(
    written: str | None, read: str | None
) -> None:
    plain = {"versionId": "1", "lastUpdated": "2026-11-20T10:00:00.500Z"}
    for neighbours in ([], [{"resourceType": "Patient", "id": "p0", "meta": plain}]):
        resource = {"resourceType": "Patient", "id": "p1", "meta": {"lastUpdated": written}}
        *_, row = rows_of(*neighbours, resource)
        assert row["last_updated"] == (None if read is None else datetime.fromisoformat(read))


@pytest.mark.parametrize("meta", [{}, {"meta": None}, {"meta": {}}, {"meta": {"versionId": None}}])
def test_a_resource_without_version_has_nulls_in_their_place(meta: dict[str, Any]) -> None:
    (row,) = rows_of({"resourceType": "Organization", "id": "o1", **meta})
    assert (row["version_id"], row["last_updated"], row["patient_ids"]) == (None, None, [])


def test_patients_of_many_rows_stay_with_their_rows() -> None:
    flags = [
        {"resourceType": "Flag", "id": f"f{number}", "subject": {"reference": f"{kind}/{number}"}}
        for number, kind in enumerate(["Patient", "Group", "Patient", "Location", "Patient"])
    ]
    rows = {row["id"]: row["patient_ids"] for row in rows_of(*flags, {"resourceType": "Flag", "id": "f5"})}
    assert rows == {"f0": ["0"], "f1": [], "f2": ["2"], "f3": [], "f4": ["4"], "f5": []}


def test_a_file_names_its_schema_and_keeps_statistics_of_all_but_the_text() -> None:
    (content,) = lake_files(
        exported_lab(b"\n".join(patient(number) for number in range(9))).s3.objects
    ).values()
    metadata = pq.ParquetFile(pa.BufferReader(content)).metadata
    columns = [metadata.row_group(0).column(number) for number in range(metadata.num_columns)]
    assert metadata.metadata[b"healthlake-hub.schema-version"] == b"1"
    assert {column.compression for column in columns} == {"ZSTD"}
    assert [column.path_in_schema for column in columns if not column.is_stats_set] == ["resource"]
    assert all(column.has_offset_index for column in columns)


def dropping_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    write = range_files.fhir_rows
    monkeypatch.setattr(range_files, "fhir_rows", lambda texts, keys: write(texts[1:], keys[1:]))


def doubling_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    write = range_files.fhir_rows
    monkeypatch.setattr(
        range_files, "fhir_rows", lambda texts, keys: write([*texts, texts[0]], [*keys, keys[0]])
    )


def forgetting_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    complete = range_files.LakeFiles.complete

    def without_one(files: range_files.LakeFiles) -> Any:
        files._types.popitem()
        return complete(files)

    monkeypatch.setattr(range_files.LakeFiles, "complete", without_one)


def holding_a_line_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    add = range_files.LakeFiles.add

    def twice(files: range_files.LakeFiles, line: Any, keys: Any) -> None:
        add(files, line, keys)
        if keys.id == "p3":
            add(files, line, keys)

    monkeypatch.setattr(range_files.LakeFiles, "add", twice)


@pytest.mark.parametrize("mutate", [dropping_a_row, doubling_a_row, forgetting_a_file, holding_a_line_twice])
def test_a_range_function_that_writes_other_rows_than_it_counts_does_not_reconcile(
    mutate: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    lab = Lab.holding(b"\n".join(patient(number) for number in range(9)))
    lab.process(lab.ranges())
    with pytest.raises(ReconciliationFailed):
        lab.reconcile(lab.ranges())
