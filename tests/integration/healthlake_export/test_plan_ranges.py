"""Planning the ranges of an export, with the handler, on moto."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from healthlake_export import plan_ranges
from healthlake_export.errors import (
    ManifestMismatch,
)
from healthlake_export.fhir_export_api import ExportJob
from local.testing.run_of_noon import (
    BUCKET,
    PATIENTS,
    PATIENTS_KEY,
    PREFIX,
    keys_under,
    put,
    read,
)

SampleEvent = Callable[[str], Any]


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
        "countsEvents": False,
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
