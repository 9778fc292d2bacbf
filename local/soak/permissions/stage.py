"""The deployed application as the scenarios act on it."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from local.account.clients import client
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.fhir_client import FhirClient
from local.cli.logs import log_group

LOOK_AGAIN_SECONDS = 0.1
DEADLINE_SECONDS = 60.0


class DidNotHappenError(Exception):
    """Something that a scenario waits for did not come to pass in time."""


@dataclass(frozen=True)
class Stage:
    """A stack in a local account, with the clients that scenarios use. `number` gives ids that are new."""

    account: RunningAccount
    stack_name: str
    outputs: Mapping[str, str]

    def client(self, service: str) -> Any:
        """A client with the rights of the account's administrator."""
        return client(self.account, service)

    def change_a_patient(self) -> None:
        """Give the next run something to export."""
        body = {"resourceType": "Patient", "id": "soaked", "active": True}
        body["multipleBirthInteger"] = time.time_ns() % 1_000_000
        fhir = FhirClient(self.account, self.outputs["DatastoreEndpoint"])
        answer = fhir.put("Patient/soaked", json.dumps(body).encode())
        if answer.status not in (200, 201):
            raise DidNotHappenError(f"the patient could not be changed: {answer.status}")

    def fault(self, fault: str, **order: Any) -> None:
        """Ask the local HealthLake to go wrong."""
        self._faults("POST", {"fault": fault, **order})

    def no_faults(self) -> None:
        """Forget every fault that has not happened, and let held jobs go on."""
        self._faults("DELETE", None)
        self._faults("POST", {"fault": "release"})

    def start(self, request: Mapping[str, Any] | None = None) -> str:
        """Start an execution; returns its ARN."""
        arn: str = self.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs["ExportStateMachineArn"], input=json.dumps(request or {})
        )["executionArn"]
        return arn

    def start_and_hold(self) -> str:
        """Start an execution whose export job goes on until it is released; returns when it exports."""
        self.change_a_patient()
        self.fault("hold-next-job", status="IN_PROGRESS")
        arn = self.start()
        self.wait_until(lambda: self.state().get("phase") == "EXPORTING")
        return arn

    def stop(self, arn: str) -> None:
        """StopExecution; nothing happens when it has ended."""
        self.client("stepfunctions").stop_execution(executionArn=arn)

    def describe(self, arn: str) -> dict[str, Any]:
        """DescribeExecution."""
        described: dict[str, Any] = self.client("stepfunctions").describe_execution(executionArn=arn)
        return described

    def causes_of_children(self, arn: str) -> str:
        """Why children of the execution's distributed maps failed."""
        states, causes = self.client("stepfunctions"), []
        for map_run in states.list_map_runs(executionArn=arn)["mapRuns"]:
            children = states.list_executions(mapRunArn=map_run["mapRunArn"])["executions"]
            causes += [self.describe(child["executionArn"]).get("cause", "") for child in children]
        return "\n".join(causes)

    def state_input(self, arn: str, state: str) -> Any:
        """What a state of an execution was given."""
        pages = self.client("stepfunctions").get_paginator("get_execution_history")
        for page in pages.paginate(executionArn=arn):
            for event in page["events"]:
                entered = event.get("stateEnteredEventDetails")
                if entered and entered["name"] == state:
                    return json.loads(entered["input"])
        raise DidNotHappenError(f"{arn} did not enter {state}")

    def state(self) -> dict[str, Any]:
        """The state item of the datastore, its values as text."""
        answer = self.client("dynamodb").get_item(
            TableName=self.outputs["HubTableName"], Key=self._state_key, ConsistentRead=True
        )
        return {name: next(iter(value.values())) for name, value in answer.get("Item", {}).items()}

    def give_lock_to(self, owner: str) -> None:
        """Write another owner into the state item."""
        self.client("dynamodb").update_item(
            TableName=self.outputs["HubTableName"],
            Key=self._state_key,
            UpdateExpression="SET #owner = :owner",
            ExpressionAttributeNames={"#owner": "owner"},
            ExpressionAttributeValues={":owner": {"S": owner}},
        )

    @contextmanager
    def deaf_checks(self) -> Iterator[None]:
        """Let no check and no job event reach the check function."""
        functions, name = self.client("lambda"), self.functions()["CheckExportFunction"]
        (mapping,) = functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        try:
            yield
        finally:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    def exported_keys(self, arn: str) -> list[str]:
        """The files that the export of an execution has written."""
        listed = self.client("s3").list_objects_v2(
            Bucket=self.outputs["HubBucketName"], Prefix=f"exports/{arn.rsplit(':', 1)[-1]}/"
        )
        return [entry["Key"] for entry in listed.get("Contents", []) if entry["Key"].endswith(".ndjson")]

    def append(self, key: str, content: bytes) -> None:
        """Write more at the end of an object of the bucket."""
        s3, bucket = self.client("s3"), self.outputs["HubBucketName"]
        before = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        s3.put_object(Bucket=bucket, Key=key, Body=before + content)

    def release_lock_of(self, owner: str) -> None:
        """Remove an owner that was written by `give_lock_to`."""
        if self.state().get("owner") == owner:
            self.client("dynamodb").update_item(
                TableName=self.outputs["HubTableName"],
                Key=self._state_key,
                UpdateExpression="REMOVE #owner",
                ExpressionAttributeNames={"#owner": "owner"},
            )

    def physical_name(self, logical_id: str) -> str:
        """What a resource of the stack is called in the account."""
        answer = self.client("cloudformation").describe_stack_resource(
            StackName=self.stack_name, LogicalResourceId=logical_id
        )
        name: str = answer["StackResourceDetail"]["PhysicalResourceId"]
        return name

    def functions(self) -> Mapping[str, str]:
        """Names of the functions by logical id."""
        return stack.functions(self.account, self.stack_name)

    def log_groups(self) -> Sequence[str]:
        """The log groups of all functions."""
        return [log_group(self.account, function) for function in self.functions().values()]

    def logged(self, groups: Sequence[str], milliseconds: int) -> str:
        """What was logged in these groups since a time in milliseconds."""
        return "\n".join(line for group in groups for line in self._lines(group, milliseconds))

    def wait_until(self, condition: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> None:
        """Look until the condition holds. Raises DidNotHappenError."""
        ends_at = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > ends_at:
                raise DidNotHappenError("it did not come to pass")
            time.sleep(LOOK_AGAIN_SECONDS)

    def _lines(self, group: str, milliseconds: int) -> list[str]:
        logs = self.client("logs")
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=milliseconds)
        try:
            return [event["message"] for page in pages for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []

    @property
    def _state_key(self) -> dict[str, Any]:
        return {"pk": {"S": f"DATASTORE#{self.outputs['DatastoreId']}"}, "sk": {"S": "STATE"}}

    def _faults(self, method: str, order: Mapping[str, Any] | None) -> None:
        body = json.dumps(order).encode() if order else None
        url = f"{self.account.endpoint}/_local/healthlake/faults"
        urllib.request.urlopen(urllib.request.Request(url, body, method=method)).close()  # noqa: S310
