"""Erasing a patient beside the export workflow: runs before, during and after it bring nothing back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import aws_clients
from local.erasure.run_lock import RunLock
from local.testing.mocked_hub import TABLE


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

    assert run.wait(30).output["status"] == "COMPLETED"


def test_the_lock_of_an_erasure_whose_process_died_is_taken_over_and_no_run_failed_for_it(
    hub: Any, lock: Any
) -> None:
    hub.put(("Patient", "p1"))
    assert lock(timedelta(hours=1)).acquire()

    run = hub.run()

    assert run.output["status"] == "COMPLETED"
    assert "Clean Up The Dead Run" in run.path
    assert hub.run_events("ExportFailed") == []
