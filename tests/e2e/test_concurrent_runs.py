"""Executions of the deployed stack that meet, and one that is stopped.

The export job is held in both, so that a run cannot end before it has met another or was stopped.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from local.account.clients import client
from local.cli.executions import Executions, Finished
from local.testing.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub


@pytest.fixture
def patient(hub: "Hub") -> Iterator[None]:
    """Something to export, and gone again for the tests that count what is there."""
    body = b'{"resourceType":"Patient","id":"met-at-the-lock","active":true}'
    assert hub.fhir.put("Patient/met-at-the-lock", body).status in (200, 201)
    yield
    assert hub.fhir.request("DELETE", "Patient/met-at-the-lock").status in (200, 204)


def _finish(executions: Executions, arn: str) -> Finished:
    return executions.follow(arn, lambda _state: None, lambda: None)


def test_a_lock_taken_twice_at_once_lets_one_execution_run(hub: "Hub", patient: None) -> None:
    executions = hub.executions
    barrier = Barrier(2)

    def start(_number: int) -> str:
        barrier.wait()
        return executions.start({})

    with hub.held_export() as release:
        with ThreadPoolExecutor(2) as threads:
            arns = list(threads.map(start, range(2)))
        _wait_until(lambda: _running(hub, arns) < 2)
        still_running = _running(hub, arns)
        release()
        ends = [_finish(executions, arn) for arn in arns]

    assert still_running == 1
    assert [end.status for end in ends] == ["SUCCEEDED", "SUCCEEDED"]
    assert sorted(str(end.output["status"]) for end in ends) == ["ALREADY_RUNNING", "COMPLETED"]


def test_a_stopped_execution_leaves_no_lock_and_no_job_and_the_next_run_completes(
    hub: "Hub", patient: None
) -> None:
    executions = hub.executions
    earlier = set(_jobs(hub))
    with hub.held_export():
        arn = executions.start({})
        _wait_until(lambda: _statuses_since(hub, earlier) == ["IN_PROGRESS"])
        _wait_until(lambda: _state(hub).get("phase") == "EXPORTING")

        client(hub.account, "stepfunctions").stop_execution(executionArn=arn)
        _wait_until(lambda: "owner" not in _state(hub))
        _wait_until(lambda: _statuses_since(hub, earlier) == ["CANCEL_COMPLETED"])

    assert _finish(executions, executions.start({})).output["status"] == "COMPLETED"


def test_a_replay_of_several_types_is_signed_as_the_account_checks_it(hub: "Hub", patient: None) -> None:
    executions = hub.executions

    end = _finish(executions, executions.start({"types": ["Patient", "Group"]}))

    assert (end.status, end.output.get("mode")) == ("SUCCEEDED", "replay"), end.cause


def _running(hub: "Hub", arns: Sequence[str]) -> int:
    states = client(hub.account, "stepfunctions")
    statuses = [states.describe_execution(executionArn=arn)["status"] for arn in arns]
    return statuses.count("RUNNING")


def _jobs(hub: "Hub") -> dict[str, str]:
    """The status of each export job by its id."""
    listed = client(hub.account, "healthlake").list_fhir_export_jobs(
        DatastoreId=hub.outputs["DatastoreId"], MaxResults=500
    )
    return {job["JobId"]: job["JobStatus"] for job in listed["ExportJobPropertiesList"]}


def _statuses_since(hub: "Hub", earlier: set[str]) -> list[str]:
    return [status for job, status in _jobs(hub).items() if job not in earlier]


def _state(hub: "Hub") -> dict[str, Any]:
    key = {"pk": {"S": f"DATASTORE#{hub.outputs['DatastoreId']}"}, "sk": {"S": "STATE"}}
    item = client(hub.account, "dynamodb").get_item(
        TableName=hub.outputs["HubTableName"], Key=key, ConsistentRead=True
    )
    return {name: value.get("S") for name, value in item.get("Item", {}).items()}


def _wait_until(condition: Callable[[], bool]) -> None:
    """Look until the condition holds; the account offers no event to wait for."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)
