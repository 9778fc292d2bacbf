"""Planning, processing and reconciling byte ranges, with the handlers, on moto."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from healthlake_export import plan_ranges, process_range, reconcile_run
from healthlake_export.byte_ranges import ExportedObject
from healthlake_export.change_events import event_id
from healthlake_export.errors import (
    ManifestMismatch,
    RangeChanged,
    ReconciliationFailed,
    RunSuperseded,
)
from healthlake_export.fhir_export_api import ExportJob
from healthlake_export.ledger import Ledger
from healthlake_export.object_bytes import ObjectBytes
from healthlake_export.published_id_objects import load_ids, merge_range_ids, save_range_ids
from healthlake_export.published_ids import PublishedIds
from healthlake_export.resource_keys import Meta, ResourceKeys
from healthlake_export.run_context import RunContext

REGION = "us-east-1"
BUCKET = "hub-bucket"
STORE = "0123456789abcdef0123456789abcdef"
JOB = "3ed7f6b8cd1a4d0e9c5f2b7a6e8d9c01"
PREFIX = f"exports/run-of-noon/{STORE}-FHIR_EXPORT-{JOB}/"
PATIENTS_KEY = f"{PREFIX}Patient/Patient-0-0-0.ndjson"
PATIENTS = (
    b'{"resourceType":"Patient","id":"synthetic-1","meta":{"versionId":"2",'
    b'"lastUpdated":"2026-03-01T11:58:30.000Z"},"name":[{"family":"Example"}]}\n'
    b'{"resourceType":"Patient","id":"synthetic-2","meta":{"versionId":"1",'
    b'"lastUpdated":"2026-03-01T11:59:30.000Z"},"name":[{"family":"Sample"}]}\n'
    b'{"resourceType":"Patient","id":"synthetic-3","name":[{"family":"Cut\n'
)
CUT_LINE_AT = PATIENTS.index(b'{"resourceType":"Patient","id":"synthetic-3"')
FIRST_ID = event_id(STORE, ResourceKeys("Patient", "synthetic-1", Meta("2")), b"")
SECOND_ID = event_id(STORE, ResourceKeys("Patient", "synthetic-2", Meta("1")), b"")

SampleEvent = Callable[[str], Any]


def put(key: str, content: bytes) -> None:
    boto3.client("s3", REGION).put_object(Bucket=BUCKET, Key=key, Body=content)


def read(key: str) -> bytes:
    content: bytes = boto3.client("s3", REGION).get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return content


def keys_under(prefix: str) -> list[str]:
    listed = boto3.client("s3", REGION).list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for entry in listed.get("Contents", [])]


def give_lock_to(owner: str) -> None:
    boto3.client("dynamodb", REGION).put_item(
        TableName="hub",
        Item={"pk": {"S": f"DATASTORE#{STORE}"}, "sk": {"S": "STATE"}, "owner": {"S": owner}},
    )


def ledger_of(event: dict[str, Any]) -> Ledger:
    return Ledger(boto3.client("dynamodb", REGION), "hub", RunContext.from_state(event["run"]))


@pytest.fixture
def bus_messages(hub: Any) -> Callable[[], list[dict[str, Any]]]:
    """Everything on the bus, by way of a queue."""
    sqs, events = boto3.client("sqs", REGION), boto3.client("events", REGION)
    url = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName="hub-events", EventPattern='{"source": ["healthlake-hub"]}')
    events.put_targets(Rule="all", EventBusName="hub-events", Targets=[{"Id": "queue", "Arn": arn}])
    messages: Callable[[], list[dict[str, Any]]] = lambda: hub.messages(url)  # noqa: E731
    return messages


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets HealthLake answer with a manifest of these keys."""

    def answer(output: list[str], errors: list[str] | None = None) -> None:
        class Api:
            def describe(self, job_id: str) -> ExportJob:
                urls = [tuple(f"s3://{BUCKET}/{key}" for key in keys) for keys in (output, errors or [])]
                return ExportJob(job_id, "COMPLETED", urls[0], urls[1])

        monkeypatch.setattr(plan_ranges, "export_api", lambda datastore_id: Api())

    return answer


@pytest.fixture
def run_of_noon(hub: Any, sample_event: SampleEvent) -> dict[str, Any]:
    """The sample range with its object, the lock, and the ids that the run before left."""
    event: dict[str, Any] = sample_event("healthlake_export/range_of_patients")
    put(PATIENTS_KEY, PATIENTS)
    put("runs/run-before-noon/published-ids.bin", FIRST_ID)
    give_lock_to(event["run"]["executionArn"])
    return event


def test_an_export_is_planned_in_ranges_of_the_size_set(
    hub: Any, sample_event: SampleEvent, lambda_context: Any, exported: Any
) -> None:
    devices_key = f"{PREFIX}Device/Device-0-0-0.ndjson"
    empty_key = f"{PREFIX}Group/Group-0-0-0.ndjson"
    put(PATIENTS_KEY, PATIENTS)
    put(devices_key, b"x" * (1024 * 1024 + 1))
    put(empty_key, b"")
    exported([PATIENTS_KEY, devices_key, empty_key])
    plan = plan_ranges.lambda_handler(sample_event("healthlake_export/export_completed"), lambda_context)
    assert plan == {
        "files": 3,
        "ranges": 3,
        "bytes": len(PATIENTS) + 1024 * 1024 + 1,
        "bucket": BUCKET,
        "itemsKey": "runs/run-of-noon/ranges.json",
        "quarantined": 0,
        "maxConcurrency": 20,
    }
    items = json.loads(read("runs/run-of-noon/ranges.json"))
    assert [(item["index"], item["key"], item["start"], item["end"]) for item in items] == [
        (0, devices_key, 0, 1024 * 1024),
        (1, devices_key, 1024 * 1024, 1024 * 1024 + 1),
        (2, PATIENTS_KEY, 0, len(PATIENTS)),
    ]
    assert items[2] == sample_event("healthlake_export/range_of_patients")["range"] | {"index": 2}


def test_an_export_of_nothing_has_no_item_file(
    hub: Any, sample_event: SampleEvent, lambda_context: Any, exported: Any
) -> None:
    exported([])
    plan = plan_ranges.lambda_handler(sample_event("healthlake_export/export_completed"), lambda_context)
    assert (plan["files"], plan["ranges"], plan["itemsKey"]) == (0, 0, None)
    assert keys_under("runs/") == []


def test_records_of_error_files_are_quarantined_whole(
    hub: Any, sample_event: SampleEvent, lambda_context: Any, exported: Any
) -> None:
    errors_key = f"{PREFIX}OperationOutcome/OperationOutcome-0-0-0.ndjson"
    put(PATIENTS_KEY, PATIENTS)
    put(errors_key, b'{"resourceType":"OperationOutcome","id":"a"}\nnot json\n')
    exported([PATIENTS_KEY], [errors_key])
    event = sample_event("healthlake_export/export_completed_with_errors")
    plan = plan_ranges.lambda_handler(event, lambda_context)
    assert (plan["files"], plan["ranges"], plan["quarantined"]) == (1, 1, 2)
    records = read("quarantine/run-of-noon/errors-000-000.ndjson").splitlines()
    first, second = map(json.loads, records)
    assert first["reason"] == second["reason"] == "EXPORT_ERROR"
    assert first["line"] == '{"resourceType":"OperationOutcome","id":"a"}'
    assert (second["source"]["key"], second["source"]["offset"], second["line"]) == (
        errors_key,
        45,
        "not json",
    )


@pytest.mark.parametrize("manifest", [[], [PATIENTS_KEY, f"{PREFIX}Device/Device-0-0-0.ndjson"]])
def test_a_manifest_that_does_not_match_the_listing_fails_the_plan(
    hub: Any, sample_event: SampleEvent, lambda_context: Any, exported: Any, manifest: list[str]
) -> None:
    put(PATIENTS_KEY, PATIENTS)
    exported(manifest)
    with pytest.raises(ManifestMismatch, match=r"Patient-0-0-0|Device-0-0-0"):
        plan_ranges.lambda_handler(sample_event("healthlake_export/export_completed"), lambda_context)
    assert keys_under("runs/") == []


def test_a_range_is_published_quarantined_and_entered_in_the_ledger(
    run_of_noon: dict[str, Any], lambda_context: Any, bus_messages: Any
) -> None:
    assert process_range.lambda_handler(run_of_noon, lambda_context) == {"index": 0}

    (message,) = bus_messages()
    assert (message["source"], message["detail-type"]) == ("healthlake-hub", "FhirResourceChanged")
    assert message["detail"]["meta"]["eventId"] == SECOND_ID.hex()
    assert message["detail"]["resource"] == json.loads(PATIENTS.splitlines()[1])

    (record,) = read("quarantine/run-of-noon/000000-000.ndjson").splitlines()
    assert json.loads(record) == {
        "reason": "NOT_JSON",
        "source": {
            "bucket": BUCKET,
            "key": PATIENTS_KEY,
            "etag": run_of_noon["range"]["etag"],
            "offset": CUT_LINE_AT,
            "length": len(PATIENTS) - CUT_LINE_AT,
        },
        "line": PATIENTS.splitlines()[2].decode(),
    }

    (entry,) = ledger_of(run_of_noon).read()
    assert (entry.lines, entry.rows, entry.published, entry.repeated, entry.quarantined) == (3, 1, 1, 1, 1)
    assert (entry.first_line_at, entry.lines_end_at, entry.line_bytes) == (0, len(PATIENTS), len(PATIENTS))
    assert read("runs/run-of-noon/published-ids/000000.bin") == b"".join(sorted([FIRST_ID, SECOND_ID]))


def test_a_range_done_twice_has_one_ledger_item_and_the_same_event_ids(
    run_of_noon: dict[str, Any], lambda_context: Any, bus_messages: Any
) -> None:
    process_range.lambda_handler(run_of_noon, lambda_context)
    process_range.lambda_handler(run_of_noon, lambda_context)
    assert {message["detail"]["meta"]["eventId"] for message in bus_messages()} == {SECOND_ID.hex()}
    assert len(list(ledger_of(run_of_noon).read())) == 1


def test_ids_of_the_run_before_that_have_expired_are_no_failure(
    run_of_noon: dict[str, Any], lambda_context: Any, bus_messages: Any
) -> None:
    boto3.client("s3", REGION).delete_object(Bucket=BUCKET, Key="runs/run-before-noon/published-ids.bin")
    process_range.lambda_handler(run_of_noon, lambda_context)
    assert len(bus_messages()) == 2


def test_a_range_of_a_superseded_run_is_not_processed(
    run_of_noon: dict[str, Any], lambda_context: Any, bus_messages: Any
) -> None:
    give_lock_to("another execution")
    with pytest.raises(RunSuperseded, match="run-of-noon"):
        process_range.lambda_handler(run_of_noon, lambda_context)
    assert bus_messages() == []
    assert list(ledger_of(run_of_noon).read()) == []


def test_a_lock_that_is_lost_while_a_range_is_processed_keeps_it_out_of_the_ledger(
    run_of_noon: dict[str, Any], lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ledger, "require_ownership", lambda self: give_lock_to("another execution"))
    with pytest.raises(RunSuperseded):
        process_range.lambda_handler(run_of_noon, lambda_context)
    assert list(ledger_of(run_of_noon).read()) == []


def test_an_object_that_was_replaced_since_the_plan_is_refused(
    run_of_noon: dict[str, Any], lambda_context: Any
) -> None:
    put(PATIENTS_KEY, PATIENTS.replace(b"Example", b"Another"))
    with pytest.raises(RangeChanged, match=PATIENTS_KEY):
        process_range.lambda_handler(run_of_noon, lambda_context)


def test_a_run_whose_ranges_add_up_has_totals_and_the_ids_for_the_next(
    run_of_noon: dict[str, Any], sample_event: SampleEvent, lambda_context: Any
) -> None:
    process_range.lambda_handler(run_of_noon, lambda_context)
    put("runs/run-of-noon/ranges.json", json.dumps([run_of_noon["range"]]).encode())
    totals = reconcile_run.lambda_handler(sample_event("healthlake_export/ranges_processed"), lambda_context)
    assert totals == {
        "files": 1,
        "ranges": 1,
        "bytes": len(PATIENTS),
        "lines": 3,
        "rows": 1,
        "published": 1,
        "repeated": 1,
        "quarantined": 1,
        "publishedIdsKey": "runs/run-of-noon/published-ids.bin",
    }
    assert read(totals["publishedIdsKey"]) == b"".join(sorted([FIRST_ID, SECOND_ID]))


def test_a_range_that_was_never_processed_fails_the_run(
    run_of_noon: dict[str, Any], sample_event: SampleEvent, lambda_context: Any
) -> None:
    put("runs/run-of-noon/ranges.json", json.dumps([run_of_noon["range"]]).encode())
    with pytest.raises(ReconciliationFailed, match="Range 0 has no ledger item"):
        reconcile_run.lambda_handler(sample_event("healthlake_export/ranges_processed"), lambda_context)


def test_a_run_that_exported_nothing_has_totals_of_zero(
    hub: Any, sample_event: SampleEvent, lambda_context: Any
) -> None:
    totals = reconcile_run.lambda_handler(
        sample_event("healthlake_export/nothing_was_exported"), lambda_context
    )
    assert totals.pop("publishedIdsKey") is None
    assert set(totals.values()) == {0}


def test_nothing_of_a_resource_shows_in_logs_keys_ledger_or_answers(
    run_of_noon: dict[str, Any], lambda_context: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = process_range.lambda_handler(run_of_noon, lambda_context)
    run_of_noon["range"]["etag"] = '"another"'
    with pytest.raises(RangeChanged) as refused:
        process_range.lambda_handler(run_of_noon, lambda_context)
    logged = [repr(vars(record)) for record in caplog.records]
    items = boto3.client("dynamodb", REGION).scan(TableName="hub")["Items"]
    seen = [*logged, repr(answer), repr(items), repr(keys_under("")), repr(refused.value)]
    assert "range processed" in logged[0]
    assert not [text for text in seen if "synthetic-" in text or "Example" in text or "Cut" in text]


def test_the_ledger_of_many_ranges_is_read_page_by_page(
    run_of_noon: dict[str, Any], lambda_context: Any
) -> None:
    process_range.lambda_handler(run_of_noon, lambda_context)
    table = boto3.resource("dynamodb", REGION).Table("hub")
    item = table.get_item(Key={"pk": "RUN#run-of-noon", "sk": "RANGE#000000"})["Item"]
    for index in range(60):
        table.put_item(Item={**item, "sk": f"RANGE#{index:06d}", "index": index, "padding": "x" * 40_000})
    assert [entry.index for entry in ledger_of(run_of_noon).read()] == list(range(60))


def test_ranges_that_finish_at_once_are_all_entered_in_the_ledger(
    run_of_noon: dict[str, Any], lambda_context: Any
) -> None:
    failures: list[BaseException] = []

    def process(index: int) -> None:
        try:
            event = {**run_of_noon, "range": {**run_of_noon["range"], "index": index}}
            process_range.lambda_handler(event, lambda_context)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=process, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [entry.index for entry in ledger_of(run_of_noon).read()] == [0, 1, 2, 3]


def test_ids_of_many_ranges_are_merged_block_by_block(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("healthlake_export.published_id_objects._SMALLEST_BLOCK", 48)
    monkeypatch.setattr("healthlake_export.published_id_objects._MERGE_BYTES", 0)
    s3 = boto3.client("s3", REGION)
    ids = [number.to_bytes(16, "big") for number in range(100)]
    for index in range(5):
        save_range_ids(s3, BUCKET, "run", index, b"".join(ids[index::5]))
    save_range_ids(s3, BUCKET, "run", 5, b"".join(ids[10:20]))
    save_range_ids(s3, BUCKET, "run", 6, b"")
    key = merge_range_ids(s3, BUCKET, "run", range(6))
    assert key == "runs/run/published-ids.bin"
    assert read(key) == b"".join(ids)
    loaded = load_ids(s3, BUCKET, key)
    assert len(loaded) == 100
    assert all(identity in loaded for identity in ids)


def test_a_run_without_ids_leaves_no_object(hub: Any) -> None:
    s3 = boto3.client("s3", REGION)
    save_range_ids(s3, BUCKET, "run", 0, b"")
    assert merge_range_ids(s3, BUCKET, "run", []) is None
    assert keys_under("runs/") == []


def test_ids_that_are_gone_are_none(hub: Any) -> None:
    loaded = load_ids(boto3.client("s3", REGION), BUCKET, "runs/gone/published-ids.bin")
    assert isinstance(loaded, PublishedIds)
    assert len(loaded) == 0


def test_bytes_are_copied_within_s3(hub: Any) -> None:
    s3 = boto3.client("s3", REGION)
    content = bytes(range(256)) * 30_000
    put("exports/large", content)
    etag = s3.head_object(Bucket=BUCKET, Key="exports/large")["ETag"]
    source = ObjectBytes(s3, BUCKET, ExportedObject("exports/large", len(content), etag))
    source.copy(1_000, 6_000_000, "quarantine/copy.raw")
    assert read("quarantine/copy.raw") == content[1_000:6_001_000]
