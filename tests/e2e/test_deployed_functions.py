"""Each deployed function with its sample events, its real role, environment and artifact.

The samples are of a run that the deployed stack does not know, so most functions refuse them; by which
error they do shows how far they came.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.account.clients import client
from local.cli import stack

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

EVENTS = Path(__file__).parents[2] / "events" / "healthlake_export"
NOTHING_FAILED: dict[str, list[Any]] = {"batchItemFailures": []}

Invoke = Callable[[str, str], Any]


@pytest.fixture
def invoke(hub: "Hub") -> Invoke:
    """Invokes a function by logical id with a sample event; returns its payload."""
    names = stack.functions(hub.account, hub.stack_name)

    def call(function: str, event: str) -> Any:
        payload = (EVENTS / f"{event}.json").read_bytes()
        answer = client(hub.account, "lambda").invoke(FunctionName=names[function], Payload=payload)
        return json.load(answer["Payload"])

    return call


@pytest.mark.parametrize(
    ("function", "event", "error"),
    [
        ("AcquireRunLockFunction", "request_with_unknown_field", "InvalidInput"),
        ("PlanRangesFunction", "export_completed", "HealthLakeRefused"),
        ("PlanRangesFunction", "export_completed_with_errors", "HealthLakeRefused"),
        ("ProcessRangeFunction", "range_of_patients", "RunSuperseded"),
        ("ReconcileRunFunction", "ranges_processed", "AwsCallFailed"),
        ("AdvanceWatermarkFunction", "run_was_reconciled", "RunSuperseded"),
    ],
)
def test_a_function_refuses_a_run_that_is_not_there(
    invoke: Invoke, function: str, event: str, error: str
) -> None:
    payload = invoke(function, event)

    assert payload["errorType"] == error, payload


@pytest.mark.parametrize(
    ("function", "event"),
    [
        ("CheckExportFunction", "check_is_due"),
        ("CheckExportFunction", "job_reported_completed"),
    ],
)
def test_a_message_of_a_run_that_is_not_there_is_taken_out_of_the_queue(
    invoke: Invoke, function: str, event: str
) -> None:
    assert invoke(function, event) == NOTHING_FAILED


def test_a_message_whose_token_nobody_gave_out_stays_in_the_queue(invoke: Invoke) -> None:
    failures = invoke("StartExportFunction", "run_waits_for_export")["batchItemFailures"]

    assert [failure["itemIdentifier"] for failure in failures] == ["059f36b4-87a3-44ab-83d2-661975830a7d"]


def test_nothing_exported_reconciles(invoke: Invoke) -> None:
    assert invoke("ReconcileRunFunction", "nothing_was_exported")["lines"] == 0


def test_nothing_waits_in_the_outbox(invoke: Invoke) -> None:
    assert invoke("PublishRunEventsFunction", "run_is_complete") == {"published": []}


@pytest.fixture
def acquire(hub: "Hub", invoke: Invoke) -> Iterator[Callable[[str], str]]:
    """Takes the lock with a sample event and returns whose it is; no lock is left for the tests to come."""
    taken: list[str] = []

    def take(event: str) -> str:
        taken.append(invoke("AcquireRunLockFunction", event)["run"]["executionArn"])
        return taken[-1]

    yield take
    function = stack.functions(hub.account, hub.stack_name)["CleanUpFailedRunFunction"]
    for execution in taken:
        payload = json.dumps({"executionArn": execution, "failure": {"Error": "Test"}}).encode()
        client(hub.account, "lambda").invoke(FunctionName=function, Payload=payload)
    assert _owner(hub) is None


@pytest.mark.parametrize("failure", ["range_could_not_be_processed", "execution_was_stopped"])
def test_the_clean_up_of_a_run_releases_its_lock(
    invoke: Invoke, acquire: Callable[[str], str], hub: "Hub", failure: str
) -> None:
    acquire("schedule_fired")

    invoke("CleanUpFailedRunFunction", failure)

    assert _owner(hub) is None


@pytest.mark.parametrize("failure", ["range_could_not_be_processed", "execution_was_stopped"])
def test_the_clean_up_of_another_run_leaves_the_lock_alone(
    invoke: Invoke, acquire: Callable[[str], str], hub: "Hub", failure: str
) -> None:
    owner = acquire("replay_requested")

    invoke("CleanUpFailedRunFunction", failure)

    assert _owner(hub) == owner


def _owner(hub: "Hub") -> str | None:
    key = {"pk": {"S": f"DATASTORE#{hub.outputs['DatastoreId']}"}, "sk": {"S": "STATE"}}
    answer = client(hub.account, "dynamodb").get_item(
        TableName=hub.outputs["HubTableName"], Key=key, ConsistentRead=True
    )
    owner: str | None = answer.get("Item", {}).get("owner", {}).get("S")
    return owner
