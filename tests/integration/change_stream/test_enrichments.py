"""The enrichments of both pipes against a table and a bucket, with batches as Pipes hands them over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from change_stream import enrich_changes, prepare_lake_rows
from change_stream.settings import change_stream_settings
from change_stream.stream_record import record_identity
from common.errors import AwsCallFailed, InvalidSetting
from local.testing.change_records import address, measurement, patient, record, text
from local.testing.fhir_definitions import faults
from local.testing.mocked_hub import BUCKET, REGION
from tests.integration.change_stream.conftest import Records

Read = Callable[[str], Any]


def enrich(event: Any, context: Any) -> Any:
    """What Pipes gets: the handler's answer through JSON, as the runtime writes it."""
    return json.loads(json.dumps(enrich_changes.lambda_handler(event, context)))


def prepare(event: Any, context: Any) -> Any:
    return json.loads(json.dumps(prepare_lake_rows.lambda_handler(event, context)))


def images_of(batch: list[dict[str, Any]]) -> list[Any]:
    return [one["dynamodb"]["NewImage"] for one in batch]


def test_the_sample_batch_gives_the_sample_details(
    records: Records, sample_event: Read, lambda_context: Any
) -> None:
    batch = sample_event("change_stream/records_were_written")
    records.put(*images_of(batch))
    details = enrich(batch, lambda_context)
    expected = sample_event("change_stream/changes_were_enriched")
    for detail in expected:
        if "reference" in detail:
            detail["reference"]["bucket"] = BUCKET
    assert details == expected
    (kept,) = records.objects().items()
    assert kept[0] == details[2]["reference"]["key"]
    assert [faults(json.dumps(one["resource"]).encode()) for one in (*details[:2], kept[1])] == [[], [], []]


def test_the_sample_event_is_what_the_bus_makes_of_a_sample_detail(sample_event: Read) -> None:
    event = sample_event("change_stream/change_reached_the_bus")
    assert event["detail"] == sample_event("change_stream/changes_were_enriched")[1]
    assert event["detail-type"] == event["detail"]["meta"]["change"]


def test_the_sample_of_a_stream_is_that_of_the_batch(sample_event: Read) -> None:
    read, batch = (
        sample_event(f"change_stream/{one}") for one in ("stream_was_read", "records_were_written")
    )
    assert batch[1] == {**read, "eventSourceARN": batch[1]["eventSourceARN"]}


def test_a_removed_item_is_told_and_an_undeclared_one_kept(
    records: Records, sample_event: Read, lambda_context: Any
) -> None:
    batch = sample_event("change_stream/record_was_removed")
    (detail,) = enrich(batch, lambda_context)
    assert detail["meta"]["change"] == "AddressRemove"
    assert records.objects() == {
        f"quarantine/records/{record_identity(batch[1])}.json": {
            "reason": "ITEM_TYPE_NOT_DECLARED",
            "record": batch[1],
        }
    }


def test_the_sample_of_the_lake_gives_a_row_for_each_record(
    records: Records, sample_event: Read, lambda_context: Any
) -> None:
    batch = sample_event("change_stream/rows_are_asked_for")
    rows = prepare(batch, lambda_context)
    assert [one.get("change", one.get("malformed")) for one in rows] == [
        "INSERT",
        "MODIFY",
        "INSERT",
        "REMOVE",
        "ITEM_TYPE_NOT_DECLARED",
    ]
    assert records.objects() == {}


def test_a_resource_is_read_with_all_of_its_parts_and_nothing_else(
    records: Records, lambda_context: Any
) -> None:
    parts = [
        address(number=f"{one:03}", city=text(f"C{one:03}"), note=text("x" * 9000)) for one in range(150)
    ]
    records.put(patient(), *parts, patient("p11"), address("p11", city=text("other")), measurement())
    (detail,) = enrich([record(patient())], lambda_context)
    if not detail["meta"]["inline"]:
        detail = records.objects()[detail["reference"]["key"]]
    assert [one["city"] for one in detail["resource"]["address"]] == [f"C{one:03}" for one in range(150)]


def test_doing_a_batch_again_changes_nothing(
    records: Records, sample_event: Read, lambda_context: Any
) -> None:
    batch = sample_event("change_stream/records_were_written")
    batch += sample_event("change_stream/record_was_removed")
    first = enrich(batch, lambda_context), prepare(batch, lambda_context), records.objects()
    again = enrich(batch, lambda_context), prepare(batch, lambda_context), records.objects()
    assert first == again


def test_a_table_that_does_not_answer_fails_the_batch_for_the_pipe_to_send_again(
    records: Records, lambda_context: Any
) -> None:
    boto3.client("dynamodb", REGION).delete_table(TableName=records.table)
    with pytest.raises(AwsCallFailed, match="Query"):
        enrich([record(measurement()), record(patient())], lambda_context)


def test_a_bucket_that_takes_nothing_fails_the_batch_before_it_is_answered(
    records: Records, monkeypatch: pytest.MonkeyPatch, lambda_context: Any
) -> None:
    assert records
    monkeypatch.setenv("HUB_BUCKET", "no-such-bucket")
    change_stream_settings.cache_clear()
    for batch in ([record(measurement(n={"N": "1.10"}))], [None]):
        with pytest.raises(AwsCallFailed, match="PutObject"):
            enrich(batch, lambda_context)


def test_a_missing_setting_is_named(
    records: Records, monkeypatch: pytest.MonkeyPatch, lambda_context: Any
) -> None:
    assert records
    monkeypatch.delenv("RECORDS_TABLE")
    change_stream_settings.cache_clear()
    with pytest.raises(InvalidSetting, match="RECORDS_TABLE"):
        enrich([], lambda_context)


def test_nothing_of_an_item_is_logged_counted_or_in_a_key(
    records: Records,
    lambda_context: Any,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = text("MARKED")
    good = patient("MARKED-id", familyName=secret, gender=secret, n={"N": "1.10"})
    bad = record({**patient("MARKED-id", n={"N": "MARKED"}), "itemType": text("MARKED")}, number=2)
    records.put(good, address("MARKED-id", city=secret))
    batch = [record(good), bad, {"MARKED": "MARKED"}, record(patient("p", n={"N": "MARKED"}), number=3)]
    enrich(batch, lambda_context)
    prepare(batch, lambda_context)
    captured = capfd.readouterr()
    logged = [str(vars(line)) for line in caplog.records]
    assert len(logged) == 2
    assert "MARKED" not in "".join((captured.out, captured.err, *logged))
    assert [
        key
        for key in records.objects()
        if not re.fullmatch(r"[a-z]+(/[a-z]+)?/[0-9a-f]{32}(-[0-9a-f]{16})?\.json", key)
    ] == []


def test_counts_tell_what_has_become_of_a_batch(
    records: Records,
    lambda_context: Any,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    records.put(patient(gender=text("x")))
    enrich([record(patient(gender=text("x"))), record(measurement(), number=2), None], lambda_context)
    written = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (metrics,) = [one for one in written if "_aws" in one]
    (line,) = [vars(one) for one in caplog.records if one.getMessage() == "records enriched"]
    told = {name: metrics[name] for name in ("RecordsEnriched", "RecordsQuarantined", "RecordsNotMapped")}
    assert told == {"RecordsEnriched": [2.0], "RecordsQuarantined": [1.0], "RecordsNotMapped": [1.0]}
    assert metrics["RecordAgeSeconds"] >= [0.0]
    assert (line["records"], line["events"], line["quarantined"]) == (3, 2, {"RECORD_NOT_READABLE": 1})


def test_the_age_of_rows_is_told(
    records: Records, lambda_context: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert records
    prepare([record(measurement())], lambda_context)
    written = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (metrics,) = [one for one in written if "_aws" in one]
    assert metrics["RowAgeSeconds"] >= [0.0]


def test_a_batch_of_items_that_an_application_keeps_for_itself_is_an_empty_answer(
    records: Records, lambda_context: Any
) -> None:
    batch = [record({"id": text("p1"), "sk": text("#LOCK")}, number=one) for one in range(3)]
    assert (enrich(batch, lambda_context), prepare(batch, lambda_context)) == ([], [])
    assert records.objects() == {}
