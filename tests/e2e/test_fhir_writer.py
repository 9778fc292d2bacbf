"""A change of a record arrives in HealthLake, through stream, pipe, bus, queues and writer."""

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from local.account.clients import client
from local.cli import stack
from local.testing.patience import PATIENCE_SECONDS
from local.testing.sample_events import SAMPLES, sample


@pytest.fixture
def person() -> str:
    return f"writer-{uuid.uuid4()}"


@pytest.fixture
def records(hub: Any) -> Any:
    return client(hub.account, "dynamodb")


def put(hub: Any, records: Any, person: str, sk: str, item_type: str, **texts: str) -> None:
    item = {"id": person, "sk": sk, "itemType": item_type, **texts}
    records.put_item(
        TableName=hub.outputs["RecordsTableName"],
        Item={name: {"S": value} for name, value in item.items()},
    )


def awaited(hub: Any, path: str, is_so: Callable[[int, Any], bool]) -> Any:
    """The resource as soon as it is so; fails when that takes too long."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while True:
        status, found = read(hub, path)
        if is_so(status, found):
            return found
        assert time.monotonic() < ends, (status, found)
        time.sleep(0.2)


def read(hub: Any, path: str) -> tuple[int, Any]:
    answer = hub.fhir.get(path)
    return answer.status, answer.document()


def test_a_patient_follows_the_records_to_healthlake_and_is_deleted_with_them(
    hub: Any, records: Any, person: str
) -> None:
    path = f"Patient/{person}"
    put(hub, records, person, "PATIENT", "Patient", familyName="First")
    put(hub, records, person, "ADDRESS#1", "Address", city="Berlin")
    found = awaited(hub, path, lambda status, one: status == 200 and "address" in one)
    assert (found["name"][0]["family"], found["address"][0]["city"]) == ("First", "Berlin")

    put(hub, records, person, "PATIENT", "Patient", familyName="Second")
    awaited(hub, path, lambda status, one: status == 200 and one["name"][0]["family"] == "Second")

    records.delete_item(
        TableName=hub.outputs["RecordsTableName"], Key={"id": {"S": person}, "sk": {"S": "PATIENT"}}
    )
    awaited(hub, path, lambda status, one: status == 410)


@pytest.mark.parametrize("function", ["PatientChangesFunction", "WriteFhirFunction"])
def test_a_function_takes_its_sample_with_its_role_environment_and_artifact(hub: Any, function: str) -> None:
    name = stack.functions(hub.account, hub.stack_name)[function]
    payload = json.dumps(sample(SAMPLES[function][0])).encode()

    answer = client(hub.account, "lambda").invoke(FunctionName=name, Payload=payload)

    assert json.load(answer["Payload"]) == {"batchItemFailures": []}
