"""One pass over buckets with everything that a hub writes, of one patient and of others."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from local.erasure import object_versions, parquet_objects, replacement
from local.erasure.examination import Examiner
from local.testing.mocked_hub import BUCKET, LAKE_BUCKET, REGION

RESULTS = "hub-results"
EXPORTED = "exports/run-1/job/Observation/Observation-0.ndjson"
OBSERVATIONS = "fhir/resource_type=Observation/export_date=2026-03-01/run-1-000000.parquet"
QUARANTINED = "quarantine/run-1/000000-000.ndjson"
Line = Callable[..., bytes]


def record(text: bytes | None, **members: Any) -> bytes:
    """A record in quarantine, as the hub writes it."""
    source = {"bucket": BUCKET, "key": EXPORTED, "etag": '"x"', "offset": 0, "length": 10}
    content: dict[str, Any] = {} if text is None else {"line": text.decode()}
    return json.dumps({"reason": "NOT_JSON", "source": source, **content, **members}).encode() + b"\n"


@pytest.fixture
def observations(line: Line) -> list[bytes]:
    """Ten observations, every third of them the patient's."""
    return [
        line("Observation", f"o-{number}", "p-1" if number % 3 == 0 else "p-2", value=number)
        for number in range(10)
    ]


def of_others(lines: list[bytes]) -> list[bytes]:
    return [one for one in lines if b"Patient/p-1" not in one]


def test_rows_of_the_patient_leave_the_lake_and_all_others_stay_as_they_were(
    buckets: Any, observations: list[bytes], lake_file: Any
) -> None:
    buckets.put(LAKE_BUCKET, OBSERVATIONS, lake_file(observations, rows_in_a_group=2))
    before = buckets.rows(OBSERVATIONS)

    found = buckets.sweep()

    after = buckets.rows(OBSERVATIONS)
    kept = [number for number in range(10) if number % 3]
    assert after.equals(before.take(kept))
    assert after.schema.equals(before.schema, check_metadata=True)
    assert [one.as_py().encode() for one in after["resource"]] == of_others(observations)
    assert found.area("LakeBucket", "fhir/").erased == 4
    assert len(buckets.versioned_keys()) == 1, "the version before is gone"


def test_row_groups_stay_as_they_were_but_for_what_is_too_much_to_hold(
    buckets: Any, observations: list[bytes], lake_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups() -> list[int]:
        file = pq.ParquetFile(pa.BufferReader(buckets.read(LAKE_BUCKET, OBSERVATIONS))).metadata
        return [file.row_group(number).num_rows for number in range(file.num_row_groups)]

    buckets.put(LAKE_BUCKET, OBSERVATIONS, lake_file(observations, rows_in_a_group=4))
    buckets.sweep()
    assert groups() == [2, 3, 1]

    monkeypatch.setattr(parquet_objects, "_ROWS_AT_ONCE", 1)
    monkeypatch.setattr(parquet_objects, "_LARGEST_GROUP_BYTES", 1)
    buckets.put(LAKE_BUCKET, OBSERVATIONS, lake_file(observations, rows_in_a_group=10))
    buckets.sweep()
    assert groups() == [1] * 6
    assert [one.as_py().encode() for one in buckets.rows(OBSERVATIONS)["resource"]] == of_others(observations)


def test_a_file_with_nothing_but_the_patient_is_deleted_with_all_its_versions(
    buckets: Any, line: Line, lake_file: Any
) -> None:
    key = "fhir/resource_type=Patient/export_date=2026-03-01/run-1-000001.parquet"
    content = lake_file([line("Patient", "p-1")])
    buckets.put(LAKE_BUCKET, key, content, content)

    assert buckets.sweep().area("LakeBucket", "fhir/").deleted == 1
    assert buckets.everything() == {}


def test_no_version_that_a_later_one_hid_is_seen_while_both_go(
    buckets: Any, line: Line, lake_file: Any
) -> None:
    buckets.put(LAKE_BUCKET, OBSERVATIONS, *[lake_file([line("Patient", "p-1")])] * 3)
    seen: list[bool] = []

    def look(**_: Any) -> None:
        listed = buckets.s3.list_object_versions(Bucket=LAKE_BUCKET).get("Versions", [])
        seen.append(any(one["IsLatest"] for one in listed) and len(listed) in (1, 3))

    buckets.s3.meta.events.register("before-call.s3.DeleteObjects", look)
    buckets.sweep()

    assert seen == [True, True], "first all that are hidden, then the one that hides them"


def test_exported_lines_of_the_patient_become_blanks_and_all_others_keep_their_places(
    buckets: Any, observations: list[bytes]
) -> None:
    content = b"\r\n".join(observations[:5]) + b"\n" + b"\n".join(observations[5:])
    buckets.put(BUCKET, EXPORTED, content)

    found = buckets.sweep()

    after = buckets.read(BUCKET, EXPORTED)
    assert len(after) == len(content)
    for one in observations:
        place = content.index(one)
        assert after[place : place + len(one)] == (one if b"p-1" not in one else b" " * len(one))
    assert [one.strip() for one in after.split(b"\n") if one.strip()] == of_others(observations)
    assert found.area("HubBucket", "exports/").erased == 4


def test_lines_that_cannot_be_read_go_where_they_mention_the_patient(buckets: Any, line: Line) -> None:
    good = line("Observation", "o-1", "p-2")
    bad = [line("Patient", "p-1")[:-4], b"\xff" + line("Patient", "p-1"), b'{"id":"p-1"}']
    buckets.put(BUCKET, EXPORTED, b"\n".join([*bad, good, b'{"id":"p-2"']) + b"\n")

    assert buckets.sweep().area("HubBucket", "exports/").erased == 3
    assert buckets.read(BUCKET, EXPORTED).split() == (good + b' {"id":"p-2"').split()


def test_a_line_too_long_to_hold_is_blanked_where_it_stands(
    buckets: Any, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    from healthlake_export.ndjson import RangeLines

    limits = RangeLines.__init__.__kwdefaults__
    assert limits is not None
    monkeypatch.setitem(limits, "max_line_bytes", 2_000)
    long, other = line("Observation", "o-1", "p-1", text="x" * 5_000), line("Observation", "o-2", "p-2")
    for last in (other, long):
        buckets.put(BUCKET, EXPORTED, b"\n".join([other, long, last]))
        buckets.sweep()
        blank = b" " * len(long)
        after = buckets.read(BUCKET, EXPORTED)
        assert after == b"\n".join([other, blank, last if last is other else blank])


def test_large_objects_are_replaced_in_parts(
    buckets: Any, line: Line, lake_file: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_versions, "CHUNK_BYTES", 1_000_003)
    monkeypatch.setattr(replacement, "PART_BYTES", 5 * 1024 * 1024)
    text = base64.b64encode(bytes(range(256)) * 1_500).decode()
    lines = [line("Observation", f"o-{n}", "p-1" if n in (0, 7, 23) else "p-2", n=text) for n in range(24)]
    content = b"\n".join(lines)
    buckets.put(BUCKET, EXPORTED, content)

    buckets.sweep()

    expected = b"\n".join(b" " * len(one) if b"p-1" in one else one for one in lines)
    assert buckets.read(BUCKET, EXPORTED) == expected
    assert len(content) > 2 * replacement.PART_BYTES


def test_records_in_quarantine_keep_their_place_and_lose_the_patients_line(buckets: Any, line: Line) -> None:
    of_patient, of_other = line("Patient", "p-1")[:-1], line("Patient", "p-2")[:-1]
    encoded = base64.b64encode(b"\xff" + of_patient).decode()
    records = [record(of_patient), record(of_other), record(None, lineBase64=encoded)]
    buckets.put(BUCKET, QUARANTINED, b"".join(records))

    found = buckets.sweep()

    left = [json.loads(one) for one in buckets.read(BUCKET, QUARANTINED).splitlines()]
    assert [one.get("erased", False) for one in left] == [True, False, True]
    assert left[1] == json.loads(records[1])
    assert left[0] == {**json.loads(record(None)), "erased": True}
    assert found.area("HubBucket", "quarantine/").erased == 2


def test_a_quarantined_line_in_an_object_of_its_own_goes_with_its_record_s_way_to_it(
    buckets: Any, line: Line
) -> None:
    mine, others = "quarantine/run-1/000000-77.raw", "quarantine/run-1/000000-99.raw"
    buckets.put(BUCKET, mine, line("Patient", "p-1") * 1_000)
    buckets.put(BUCKET, others, line("Patient", "p-2") * 1_000)
    buckets.put(BUCKET, QUARANTINED, record(None, rawKey=mine) + record(None, rawKey=others))

    buckets.sweep()
    buckets.sweep()

    left = [json.loads(one) for one in buckets.read(BUCKET, QUARANTINED).splitlines()]
    assert [one.get("rawKey") for one in left] == [None, others]
    assert {key for _, key in buckets.versioned_keys()} == {QUARANTINED, others}


def letter(body: str, **members: Any) -> bytes:
    """A dead letter in quarantine, as the redrive workflow writes it."""
    facts = {"queue": "dead", "kind": "bus", "body": body, "messageAttributes": {}, "attributes": {}}
    return json.dumps({**facts, **members}, indent=2).encode()


def escaped(text: str, times: int) -> str:
    for _ in range(times):
        text = json.dumps({"detail": text}).replace("/", "\\/")
    return text


@pytest.mark.parametrize(
    "content",
    [
        letter('{"detail": {"resourceType": "Patient", "id": "p-1"}}'),
        letter(escaped("see Patient/p-1", 3)),
        letter(json.dumps({"detail": "\\u0050atient/p-1"})),
        letter("p-1", messageAttributes={"patient": {"DataType": "String", "StringValue": "p-1"}}),
        letter("", messageAttributes={"of": {"BinaryValue": base64.b64encode(b"Patient/p-1").decode()}}),
        b'{"body": "Patient/p-1',
    ],
    ids=["an event", "escaped again and again", "characters by number", "an attribute", "bytes", "torn"],
)
def test_a_dead_letter_in_quarantine_that_names_the_patient_goes_whole(buckets: Any, content: bytes) -> None:
    other = letter(escaped("see Patient/p-10 and Patient/p-2", 3))
    buckets.put(BUCKET, "dead-letters/dead/a.json", content)
    buckets.put(BUCKET, "dead-letters/dead/b.json", other)

    found = buckets.sweep()

    assert buckets.versioned_keys() == [(BUCKET, "dead-letters/dead/b.json")]
    assert buckets.read(BUCKET, "dead-letters/dead/b.json") == other
    area = found.area("HubBucket", "dead-letters/")
    assert (area.erased, area.deleted, area.left) == (1, 1, 0)


def test_of_a_dead_letter_that_was_edited_or_returned_the_versions_before_go_too(buckets: Any) -> None:
    edited, returned = "dead-letters/dead/a.json", "dead-letters/dead/b.json"
    buckets.put(BUCKET, edited, letter("Patient/p-1"), letter("Patient/p-2"))
    buckets.put(BUCKET, returned, letter("Patient/p-1"))
    buckets.s3.delete_object(Bucket=BUCKET, Key=returned)

    found = buckets.sweep()

    assert buckets.versioned_keys() == [(BUCKET, edited)]
    assert buckets.read(BUCKET, edited) == letter("Patient/p-2")
    assert found.area("HubBucket", "dead-letters/").old_versions == 2


def test_every_result_of_a_query_goes_with_its_versions_and_markers(buckets: Any) -> None:
    for number in range(3):
        buckets.put(RESULTS, f"results/{number}.csv", b"id\n1", b"id\n2")
    buckets.s3.delete_object(Bucket=RESULTS, Key="results/1.csv")

    buckets.sweep()

    assert buckets.everything() == {}


def test_versions_behind_a_clean_object_and_behind_a_delete_marker_are_found(
    buckets: Any, line: Line, lake_file: Any
) -> None:
    other = lake_file([line("Observation", "o", "p-2")])
    buckets.put(LAKE_BUCKET, OBSERVATIONS, lake_file([line("Observation", "o", "p-1")]), other)
    buckets.put(BUCKET, EXPORTED, line("Observation", "o", "p-1"))
    buckets.s3.delete_object(Bucket=BUCKET, Key=EXPORTED)

    found = buckets.sweep()

    assert [key for _, key in buckets.versioned_keys()] == [OBSERVATIONS]
    assert buckets.read(LAKE_BUCKET, OBSERVATIONS) == other
    assert found.total().old_versions == 2


def test_what_is_shared_with_others_goes_and_is_named(buckets: Any, line: Line) -> None:
    group = line("Group", "g", member=[{"entity": {"reference": f"Patient/p-{n}"}} for n in (1, 2)])
    library = line("Library", "l", subjectReference={"reference": "Patient/p-1"})
    words = line("Observation", "w", "p-2", note=[{"text": "the mother is Patient/p-1"}])
    buckets.put(BUCKET, EXPORTED, b"\n".join([group, library, words]))

    findings = buckets.sweep().findings

    assert findings.shared == {"Group/g"}
    assert findings.referring == {"Library/l"}
    assert findings.mentioning == {"Observation/w"}
    assert buckets.read(BUCKET, EXPORTED).split() == words.split()


def test_a_second_pass_changes_nothing(
    buckets: Any, observations: list[bytes], line: Line, lake_file: Any
) -> None:
    buckets.put(LAKE_BUCKET, OBSERVATIONS, lake_file(observations))
    buckets.put(BUCKET, EXPORTED, b"\n".join(observations))
    buckets.put(BUCKET, QUARANTINED, record(line("Patient", "p-1")))
    assert not buckets.sweep().clean
    once = buckets.everything()

    assert buckets.sweep().clean
    assert buckets.everything() == once


def test_looking_only_counts_and_changes_nothing(
    buckets: Any, observations: list[bytes], lake_file: Any
) -> None:
    buckets.put(LAKE_BUCKET, OBSERVATIONS, lake_file(observations))
    buckets.put(RESULTS, "results/1.csv", b"id")
    before = buckets.everything()

    found = buckets.sweep(erase=False)

    assert found.area("LakeBucket", "fhir/").erased == 4
    assert found.area("QueryResultsBucket", "results/").deleted == 1
    assert buckets.everything() == before


def test_a_record_that_cannot_be_read_goes_if_it_names_the_patient(buckets: Any) -> None:
    buckets.put(BUCKET, QUARANTINED, b'{"line": "Patient/p-1\n{"line": "Patient/p-2\n[1]\n')
    buckets.sweep()
    assert buckets.read(BUCKET, QUARANTINED) == b'{"line": "Patient/p-2\n[1]\n'


def test_a_line_in_quarantine_that_may_not_be_read_ends_the_pass(
    buckets: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_key = "quarantine/run-1/000000-000.raw"
    buckets.put(BUCKET, QUARANTINED, record(None, rawKey=raw_key))
    read = buckets.s3.get_object

    def denied(**request: Any) -> Any:
        if request["Key"] == raw_key:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")
        return read(**request)

    monkeypatch.setattr(buckets.s3, "get_object", denied)
    with pytest.raises(ClientError, match="AccessDenied"):
        buckets.sweep()


def test_where_nothing_of_resources_belongs_a_find_is_left_and_told(buckets: Any) -> None:
    buckets.put(BUCKET, "runs/run-1/ranges.json", b'{"id": "p-1"}')
    buckets.put(LAKE_BUCKET, "notes.txt", b"see Patient/p-1")

    found = buckets.sweep()

    assert {key for _, key, _ in found.left} == {"runs/run-1/ranges.json", "notes.txt"}
    assert not found.clean


@pytest.mark.parametrize(
    ("column", "left"),
    [
        (["p-1"] * 9, True),
        ([b"of Patient/p-1 itself"] * 9, True),
        ([["p-2", "p-1"]], True),
        ([{"subject": "Patient/p-1"}], True),
        (["p-10", "p-2"], False),
        ([1, 2], False),
    ],
)
def test_a_file_without_resources_that_names_the_patient_is_left_and_told(
    buckets: Any, column: list[Any], left: bool
) -> None:
    sink = pa.BufferOutputStream()
    times = pa.array([2**62] * len(column), pa.timestamp("ms"))
    pq.write_table(pa.table({"of": column, "at": times}), sink, compression="zstd")
    buckets.put(LAKE_BUCKET, "answers/one.parquet", bytes(sink.getvalue()))
    found = buckets.sweep()
    assert [key for _, key, _ in found.left] == (["answers/one.parquet"] if left else [])
    assert found.clean is not left


def test_an_object_of_the_lake_that_nobody_can_read_is_left_and_told(buckets: Any) -> None:
    buckets.put(LAKE_BUCKET, "fhir/one.parquet.gz", gzip.compress(b"see Patient/p-1"))
    buckets.put(LAKE_BUCKET, "fhir/notes.txt", "Zoë".encode() * 10_000)
    buckets.put(LAKE_BUCKET, "fhir/empty", b"")

    assert [key for _, key, _ in buckets.sweep().left] == ["fhir/one.parquet.gz"]


def test_a_server_that_answers_a_range_with_everything_is_understood(
    buckets: Any, observations: list[bytes], lake_file: Any
) -> None:
    buckets.put(LAKE_BUCKET, OBSERVATIONS, lake_file(observations))
    events = buckets.s3.meta.events
    events.register("before-parameter-build.s3.GetObject", lambda params, **_: params.pop("Range", None))

    assert buckets.sweep().total().erased == 4
    assert buckets.rows(OBSERVATIONS).num_rows == 6


def test_an_object_that_is_replaced_meanwhile_is_left_for_the_next_pass(
    buckets: Any, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    buckets.put(BUCKET, EXPORTED, line("Observation", "o-1", "p-1"))
    newer = line("Observation", "o-2", "p-1") + b"\n" + line("Observation", "o-3", "p-2")
    replace = Examiner.replace

    def late(*arguments: Any) -> Any:
        buckets.put(BUCKET, EXPORTED, newer)
        return replace(*arguments)

    monkeypatch.setattr(Examiner, "replace", late)
    assert buckets.sweep().left == [("HubBucket", EXPORTED, "it was replaced while it was looked at")]
    assert buckets.read(BUCKET, EXPORTED) == newer

    monkeypatch.undo()
    buckets.sweep()
    assert buckets.read(BUCKET, EXPORTED).split() == line("Observation", "o-3", "p-2").split()


def test_a_bucket_without_versions_keeps_the_object_that_replaces_another(
    hub: Any, buckets: Any, observations: list[bytes], lake_file: Any
) -> None:
    assert hub
    buckets.s3.delete_bucket(Bucket=LAKE_BUCKET)
    boto3.client("s3", REGION).create_bucket(Bucket=LAKE_BUCKET)
    buckets.put(LAKE_BUCKET, OBSERVATIONS, lake_file(observations))

    buckets.sweep()

    assert buckets.rows(OBSERVATIONS).num_rows == 6


def test_keys_are_listed_whole_however_the_pages_cut_them(buckets: Any) -> None:
    for number in range(7):
        buckets.put(BUCKET, f"runs/{number}", b"1", b"2", b"3")
    buckets.s3.delete_object(Bucket=BUCKET, Key="runs/3")
    paginate = buckets.s3.get_paginator("list_object_versions").paginate

    class InPagesOfTwo:
        def get_paginator(self, _: str) -> Any:
            return self

        def paginate(self, **request: Any) -> Any:
            return paginate(**request, PaginationConfig={"PageSize": 2})

    listed = list(object_versions.list_versions(InPagesOfTwo(), BUCKET))

    assert [one.key for one in listed] == [f"runs/{number}" for number in range(7)]
    assert [len(one.versions) for one in listed] == [3, 3, 3, 4, 3, 3, 3]
    assert listed[3].latest.is_marker


def _change(item_id: str, item: str | None, old_item: str | None) -> dict[str, str | None]:
    return {"event_id": "e", "item_id": item_id, "item": item, "old_item": old_item}


CHANGES = "records/item_type=Patient/dt=2026-03-01-12/rows.parquet"
FAILED = "records-errors/processing-failed/dt=2026-03-01-12/rows"


def test_changes_of_the_patients_records_leave_the_lake_and_others_stay(buckets: Any) -> None:
    rows = [
        _change("p-1", '{"id":"p-1","n":1.10}', None),
        _change("p-2", '{"id":"p-2","n":1.10}', '{"id":"p-2"}'),
        _change("p-1", None, '{"id":"p-1"}'),
        _change("p-3", '{"id":"p-3"}', '{"id":"p-3","contact":"Patient/p-1"}'),
        _change("p-4", '{"id":"p-4"}', '{"id":"p-12"}'),
    ]
    written = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), written)
    buckets.put(LAKE_BUCKET, CHANGES, written.getvalue().to_pybytes())

    found = buckets.sweep()

    assert buckets.rows(CHANGES).to_pylist() == [rows[1], rows[4]]
    assert found.area("LakeBucket", "records/").erased == 3
    assert len(buckets.versioned_keys()) == 1, "the version before is gone"


def test_changes_that_became_no_row_lose_the_lines_that_name_the_patient(buckets: Any) -> None:
    def failed(content: Any) -> bytes:
        data = base64.b64encode(json.dumps(content).encode()).decode()
        return json.dumps({"errorCode": "Lambda.ProcessingFailedStatus", "rawData": data}).encode() + b"\n"

    image = {"id": {"S": "p-1"}, "sk": {"S": "PATIENT"}}
    other = failed({"malformed": "IMAGE_MISSING", "record": {"dynamodb": {"Keys": {"id": {"S": "p-2"}}}}})
    lines = [
        failed({"malformed": "IMAGE_MISSING", "record": {"dynamodb": {"Keys": image}}}),
        other,
        failed({"item_id": "x", "item": json.dumps({"id": "p-1"})}),
    ]
    buckets.put(LAKE_BUCKET, FAILED, b"".join(lines))

    buckets.sweep()

    assert buckets.read(LAKE_BUCKET, FAILED) == other
    assert len(buckets.versioned_keys()) == 1


def test_details_of_a_change_that_name_the_patient_are_deleted(buckets: Any) -> None:
    buckets.put(BUCKET, "changes/a.json", b'{"new":{"id":"p-1"}}')
    buckets.put(BUCKET, "changes/rows/b.json", json.dumps({"item": '{"id":"p-1"}'}).encode())
    buckets.put(BUCKET, "changes/c.json", b'{"new":{"id":"p-2"}}')

    buckets.sweep()

    assert buckets.versioned_keys() == [(BUCKET, "changes/c.json")]
