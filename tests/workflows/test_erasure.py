"""Erasing a patient beside the export workflow: runs before, during and after it bring nothing back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from common import aws_clients
from healthlake_export import erasures
from healthlake_export.lake_files import LakeFiles
from local.erasure import stragglers
from local.erasure.erasure import Erased, Erasure, Ground
from local.erasure.run_lock import RunLock
from local.erasure.stack_buckets import StackResource
from local.healthlake.faults import FailedResource
from local.testing.exported_content import export_instead
from local.testing.marked_records import MARKS, mark
from local.testing.mocked_hub import BUCKET, LAKE_BUCKET, REGION, TABLE
from local.testing.patience import PATIENCE_SECONDS


@pytest.fixture
def lock(hub: Any) -> Any:
    """Makes the lock of an erasure that began so long ago and was not renewed since."""

    def make(age: timedelta = timedelta()) -> RunLock:
        datastore = hub.datastore.datastore_id
        return RunLock(aws_clients.dynamodb(), TABLE, datastore, "1", lambda: datetime.now(UTC) - age)

    return make


def test_a_scheduled_run_that_meets_an_erasure_leaves_the_window_to_the_next_one(hub: Any, lock: Any) -> None:
    hub.put(("Patient", "p1"))
    assert lock().acquire()

    run = hub.run()

    assert run.path[-2:] == ["Does It Cover This One?", "Export Already Running"]
    assert run.output == {
        "runId": run.name,
        "status": "ALREADY_RUNNING",
        "owner": "erase:1",
        "ownerStatus": "UNKNOWN",
    }
    assert lock().release()
    assert hub.run().output["status"] == "COMPLETED"


def test_what_somebody_asked_for_waits_for_the_end_of_an_erasure(hub: Any, lock: Any) -> None:
    hub.put(("Patient", "p1"))
    assert lock().acquire()
    run = hub.bench.start({"types": ["Patient"]})
    hub.bench.wait_until(lambda: run.path.count("Wait For The Other Run") > 0)

    assert lock().release()

    assert run.wait().output["status"] == "COMPLETED"


def test_the_lock_of_an_erasure_whose_process_died_is_taken_over_and_no_run_failed_for_it(
    hub: Any, lock: Any
) -> None:
    hub.put(("Patient", "p1"))
    assert lock(timedelta(hours=1)).acquire()

    run = hub.run()

    assert run.output["status"] == "COMPLETED"
    assert "Clean Up The Dead Run" in run.path
    assert hub.run_events("ExportFailed") == []


@pytest.fixture
def erase(hub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Erases a patient from the hub's buckets, which have versions, while its workflow goes on."""
    for bucket in BUCKETS:
        boto3.client("s3", REGION).put_bucket_versioning(
            Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"}
        )
    monkeypatch.setattr(stragglers, "LONGEST_FUNCTION", timedelta(seconds=1))
    endpoints = {"healthlake": hub.healthlake.url}

    def client(service: Any) -> Any:
        return boto3.client(service, REGION, endpoint_url=endpoints.get(service))

    ground = Ground(client, TABLE, hub.datastore.datastore_id, hub.bench.state_machine.arn, BUCKETS)

    def make(patient: str, waiting: Callable[[], object] = lambda: None) -> Erased:
        def sleep(_: float) -> None:
            waiting()
            time.sleep(0.02)

        return Erasure(ground, patient, "1", "me", _shown, sleep=sleep).run()

    return make


BUCKETS = (
    StackResource("HubBucket", "AWS::S3::Bucket", BUCKET),
    StackResource("LakeBucket", "AWS::S3::Bucket", LAKE_BUCKET),
)
PATIENT = mark("patient")


@contextmanager
def _shown(_: str) -> Iterator[Any]:
    yield SimpleNamespace(result="", failed=False, progress=lambda _: None)


def put_patients(hub: Any) -> None:
    """A marked patient with marked resources, and two others."""
    for patient in (PATIENT, "other", "third"):
        name = mark("name") if patient == PATIENT else "Smith"
        hub.put(("Patient", patient), name=[{"family": name}])
        hub.put(
            ("Observation", f"{patient}-1"),
            ("Observation", f"{patient}-2"),
            subject={"reference": f"Patient/{patient}"},
            note=[{"text": name}],
        )


def every_version() -> dict[tuple[str, str], bytes]:
    """Every version of every object in the buckets, Parquet as the text of its rows."""
    s3: Any = boto3.client("s3", REGION)
    found: dict[tuple[str, str], bytes] = {}
    for bucket in BUCKETS:
        for one in s3.list_object_versions(Bucket=bucket.name).get("Versions", []):
            which = {"Bucket": bucket.name, "Key": one["Key"], "VersionId": one["VersionId"]}
            content = s3.get_object(**which)["Body"].read()
            if content.startswith(b"PAR1"):
                content = repr(pq.read_table(pa.BufferReader(content)).to_pylist()).encode()
            found[one["Key"], one["VersionId"]] = content
    return found


def marked() -> list[str]:
    """Keys of the versions that have anything of the marked patient."""
    return [key for (key, _), content in every_version().items() if MARKS.search(content.decode("latin-1"))]


def rows_of_others() -> list[str]:
    """The lake's rows of the other patients, with their columns."""
    s3 = boto3.client("s3", REGION)
    rows: list[str] = []
    for one in s3.list_objects_v2(Bucket=LAKE_BUCKET).get("Contents", []):
        content = s3.get_object(Bucket=LAKE_BUCKET, Key=one["Key"])["Body"].read()
        rows += map(repr, pq.read_table(pa.BufferReader(content)).to_pylist())
    return [row for row in rows if not MARKS.search(row)]


def test_after_an_erasure_the_marks_are_in_no_version_and_all_other_rows_are_as_before(
    hub: Any, erase: Any
) -> None:
    put_patients(hub)
    hub.run()
    hub.run({"full": True})
    export_instead(hub, json.dumps({"resourceType": "Patient", "id": PATIENT}).encode()[:-1], "Patient")
    assert hub.run({"types": ["Patient"]}).output["quarantined"] == 1
    before = rows_of_others()
    assert {key.partition("/")[0] for key in marked()} == {"exports", "quarantine", "fhir"}
    assert len(before) > 6

    assert erase(PATIENT).verified

    assert marked() == []
    assert rows_of_others() == before


def test_a_run_that_was_under_way_brings_nothing_back(
    hub: Any, erase: Any, gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its range has begun, and written nothing, when the entry is made; its rows are erased after it."""
    put_patients(hub)
    held, complete, waits = gate(), LakeFiles.complete, threading.Event()

    def late(files: LakeFiles) -> Any:
        held.hold()
        return complete(files)

    monkeypatch.setattr(LakeFiles, "complete", late)
    run = hub.bench.start()
    assert held.reached.wait(PATIENCE_SECONDS)
    with ThreadPoolExecutor(1) as aside:
        erasing = aside.submit(erase, PATIENT, waits.set)
        try:
            assert waits.wait(PATIENCE_SECONDS), "the erasure waits for the run"
            assert entries(hub) == {PATIENT}
        finally:
            held.opened.set()
        assert run.wait().output["status"] == "COMPLETED"
        assert erasing.result(60).verified

    assert marked() == []
    assert len(rows_of_others()) == 6


def entries(hub: Any) -> frozenset[str]:
    return erasures.read(aws_clients.dynamodb(), TABLE, hub.datastore.datastore_id)


def test_an_export_after_it_withholds_what_healthlake_still_has(hub: Any, erase: Any) -> None:
    """What refers to the patient from outside the compartment, and what HealthLake could not export, too."""
    put_patients(hub)
    hub.put(("Library", "l"), subjectReference={"reference": f"Patient/{PATIENT}"})
    failed = FailedResource("Patient", PATIENT, diagnostics=f"{mark('diagnostics')} is not a name")
    hub.healthlake.service.faults.errors_in_next_job(failed)
    assert erase(PATIENT).verified

    run = hub.run()

    assert run.output["withheld"] == 3, "two observations and the library"
    assert run.output["rows"] == 6
    assert run.output["exportErrors"] == 0
    assert {key.partition("/")[0] for key in marked()} == {"exports"}
    assert not MARKS.search(json.dumps(hub.resource_events(run)))
    assert erase(PATIENT).verified
    assert marked() == []


def test_a_range_that_a_stopped_run_left_behind_is_waited_for(
    hub: Any, erase: Any, gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the rows already, and writes them whatever has become of its run."""
    put_patients(hub)
    held, complete, done = gate(), LakeFiles.complete, threading.Event()

    def late(files: LakeFiles) -> Any:
        held.hold()
        try:
            return complete(files)
        finally:
            done.set()

    monkeypatch.setattr(LakeFiles, "complete", late)
    run = hub.bench.start()
    assert held.reached.wait(PATIENCE_SECONDS)
    run.stop().wait()
    hub.bench.wait_until(lambda: hub.state.owner is None)

    assert erase(PATIENT, held.opened.set).verified
    held.opened.set()
    assert done.wait(PATIENCE_SECONDS)

    assert marked() == []
