"""Executions of the deployed stack that meet, and one that is stopped."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from local.account.clients import client
from local.cli.executions import Executions, Finished

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

DEADLINE_SECONDS = 60


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

    with ThreadPoolExecutor(2) as threads:
        arns = list(threads.map(start, range(2)))
    ends = [_finish(executions, arn) for arn in arns]

    assert [end.status for end in ends] == ["SUCCEEDED", "SUCCEEDED"]
    assert sorted(str(end.output["status"]) for end in ends) == ["ALREADY_RUNNING", "COMPLETED"]


def test_a_stopped_execution_leaves_no_lock_and_no_job_and_the_next_run_completes(
    hub: "Hub", patient: None
) -> None:
    executions = hub.executions
    arn = executions.start({})
    _wait_until(lambda: _state(hub).get("phase") == "EXPORTING")

    client(hub.account, "stepfunctions").stop_execution(executionArn=arn)
    _wait_until(lambda: "owner" not in _state(hub))

    job = client(hub.account, "healthlake").list_fhir_export_jobs(DatastoreId=hub.outputs["DatastoreId"])
    newest = max(job["ExportJobPropertiesList"], key=lambda listed: listed["SubmitTime"])
    assert newest["JobStatus"].startswith("CANCEL") or newest["JobStatus"] == "COMPLETED"
    assert _finish(executions, executions.start({})).output["status"] == "COMPLETED"


def test_a_replay_of_several_types_is_signed_as_the_account_checks_it(hub: "Hub", patient: None) -> None:
    executions = hub.executions

    end = _finish(executions, executions.start({"types": ["Patient", "Group"]}))

    assert (end.status, end.output.get("mode")) == ("SUCCEEDED", "replay"), end.cause


def _state(hub: "Hub") -> dict[str, Any]:
    key = {"pk": {"S": f"DATASTORE#{hub.outputs['DatastoreId']}"}, "sk": {"S": "STATE"}}
    item = client(hub.account, "dynamodb").get_item(
        TableName=hub.outputs["HubTableName"], Key=key, ConsistentRead=True
    )
    return {name: value.get("S") for name, value in item.get("Item", {}).items()}


def _wait_until(condition: Callable[[], bool]) -> None:
    """Look until the condition holds; the account offers no event to wait for."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)
