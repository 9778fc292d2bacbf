"""Processing a byte range, with the handler, on moto."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from common import aws_clients
from common.errors import AwsCallFailed, HubError
from healthlake_export import process_range
from healthlake_export.errors import (
    RangeChanged,
    RunSuperseded,
)
from healthlake_export.ledger import Ledger
from healthlake_export.range_failures import RangeFailures
from healthlake_export.table_keys import granted_events_key
from local.testing.mocked_hub import REGION
from local.testing.run_of_noon import (
    BUCKET,
    CUT_LINE_AT,
    FIRST_ID,
    PATIENTS,
    PATIENTS_KEY,
    SECOND_ID,
    give_lock_to,
    keys_under,
    ledger_of,
    put,
    read,
)

SampleEvent = Callable[[str], Any]


def test_a_range_is_published_quarantined_and_entered_in_the_ledger(
    run_of_noon: dict[str, Any], lambda_context: Any, bus: Any
) -> None:
    assert process_range.lambda_handler(run_of_noon, lambda_context) == {"index": 0}

    (message,) = bus()
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
    run_of_noon: dict[str, Any], lambda_context: Any, bus: Any
) -> None:
    process_range.lambda_handler(run_of_noon, lambda_context)
    process_range.lambda_handler(run_of_noon, lambda_context)
    assert {message["detail"]["meta"]["eventId"] for message in bus()} == {SECOND_ID.hex()}
    assert len(list(ledger_of(run_of_noon).read())) == 1


def test_ids_of_the_run_before_that_have_expired_are_no_failure(
    run_of_noon: dict[str, Any], lambda_context: Any, bus: Any
) -> None:
    boto3.client("s3", REGION).delete_object(Bucket=BUCKET, Key="runs/run-before-noon/published-ids.bin")
    process_range.lambda_handler(run_of_noon, lambda_context)
    assert len(bus()) == 2


def test_a_range_of_a_superseded_run_is_not_processed(
    run_of_noon: dict[str, Any], lambda_context: Any, bus: Any
) -> None:
    give_lock_to("another execution")
    with pytest.raises(RunSuperseded, match="run-of-noon"):
        process_range.lambda_handler(run_of_noon, lambda_context)
    assert bus() == []
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


def test_a_range_that_was_planned_before_events_were_counted_is_counted(
    run_of_noon: dict[str, Any], lambda_context: Any
) -> None:
    """An execution that began under an older definition is finished by functions deployed since."""
    del run_of_noon["countsEvents"]
    process_range.lambda_handler(run_of_noon, lambda_context)
    key = granted_events_key(run_of_noon["run"]["runId"])
    counted = aws_clients.dynamodb().get_item(TableName="hub", Key=key)["Item"]
    assert counted["granted"] == {"N": "1"}


def test_a_range_that_lacks_a_permission_leaves_word_of_it(
    run_of_noon: dict[str, Any], lambda_context: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = "User: x is not authorized to perform: s3:GetObject on resource: y"
    refusal = ClientError({"Error": {"Code": "AccessDenied", "Message": message}}, "GetObject")
    monkeypatch.setattr(aws_clients.s3(), "get_object", Mock(side_effect=refusal))
    with pytest.raises(AwsCallFailed):
        process_range.lambda_handler(run_of_noon, lambda_context)
    failures = RangeFailures(aws_clients.dynamodb(), "hub", run_of_noon["run"]["runId"])
    assert "s3:GetObject is not allowed" in str(failures.first())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            EndpointConnectionError(endpoint_url="https://s3"),
            "AwsCallFailed: An AWS call failed with Endpoint",
        ),
        (KeyError("Example"), "UnexpectedError: mock.py failed with KeyError"),
    ],
    ids=["no answer", "unexpected"],
)
def test_a_range_that_failed_for_any_other_reason_leaves_word_of_it_too(
    run_of_noon: dict[str, Any],
    lambda_context: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    told: str,
) -> None:
    monkeypatch.setattr(aws_clients.s3(), "get_object", Mock(side_effect=error))
    with pytest.raises(HubError):
        process_range.lambda_handler(run_of_noon, lambda_context)
    first = str(RangeFailures(aws_clients.dynamodb(), "hub", run_of_noon["run"]["runId"]).first())
    assert first.startswith(f"Byte range 0: {told}")
    assert "Example" not in first


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
