"""Executions of a state machine: started, followed state by state, counted.

AWS documentation: «GetExecutionHistory», «ListMapRuns»; transitions are the states entered, by the execution
and by the children of its distributed maps.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.cli.accounts import Account, client

POLL_SECONDS = 0.4
ENTERED = "StateEntered"


@dataclass(frozen=True)
class StateEntered:
    """A state that an execution has entered, how many seconds after its start, and whether it is a map."""

    name: str
    seconds: float
    is_map: bool = False


@dataclass(frozen=True)
class Finished:
    """An execution that has ended: its status at Step Functions, what it returned or why it failed."""

    arn: str
    status: str
    seconds: float
    output: Mapping[str, Any]
    error: str
    cause: str

    @property
    def run_id(self) -> str:
        return self.arn.rpartition(":")[2]


class Executions:
    """The executions of one state machine in the local account."""

    def __init__(self, account: Account, state_machine_arn: str) -> None:
        self._client = client(account, "stepfunctions")
        self._state_machine_arn = state_machine_arn

    def start(self, document: Mapping[str, Any]) -> str:
        """Start an execution; returns its ARN."""
        answer = self._client.start_execution(
            stateMachineArn=self._state_machine_arn, input=json.dumps(document)
        )
        arn: str = answer["executionArn"]
        return arn

    def recent(self, count: int) -> list[Mapping[str, Any]]:
        """The newest executions, newest first."""
        answer = self._client.list_executions(stateMachineArn=self._state_machine_arn, maxResults=count)
        executions: list[Mapping[str, Any]] = answer["executions"]
        return sorted(executions, key=lambda execution: execution["startDate"], reverse=True)[:count]

    def follow(
        self, arn: str, entered: Callable[[StateEntered], None], waiting: Callable[[], None]
    ) -> Finished:
        """Report each state as it is entered, call `waiting` between looks, and return how it ended."""
        seen = 0
        while True:
            description = self._client.describe_execution(executionArn=arn)
            states = list(self._states(arn, description["startDate"]))
            for state in states[seen:]:
                entered(state)
            seen = len(states)
            if description["status"] != "RUNNING":
                return _finished(description)
            waiting()
            time.sleep(POLL_SECONDS)

    def transitions(self, arn: str) -> int:
        """The states entered by an execution and by the children of its distributed maps."""
        count = sum(1 for _ in self._entered_events(arn))
        for map_run in self._all("list_map_runs", "mapRuns", executionArn=arn):
            for child in self._all("list_executions", "executions", mapRunArn=map_run["mapRunArn"]):
                count += sum(1 for _ in self._entered_events(child["executionArn"]))
        return count

    def _states(self, arn: str, started: datetime) -> Iterator[StateEntered]:
        for event in self._entered_events(arn):
            seconds = (event["timestamp"] - started).total_seconds()
            name = event["stateEnteredEventDetails"]["name"]
            yield StateEntered(name, max(seconds, 0.0), event["type"] == "MapStateEntered")

    def _entered_events(self, arn: str) -> Iterator[Mapping[str, Any]]:
        events = self._all(
            "get_execution_history", "events", executionArn=arn, includeExecutionData=False, maxResults=1000
        )
        return (event for event in events if event["type"].endswith(ENTERED))

    def _all(self, operation: str, result: str, **arguments: Any) -> Iterator[Mapping[str, Any]]:
        """Every item of a paged answer."""
        token: dict[str, str] = {}
        while True:
            answer = getattr(self._client, operation)(**arguments, **token)
            yield from answer[result]
            if not answer.get("nextToken"):
                return
            token = {"nextToken": answer["nextToken"]}


def _finished(description: Mapping[str, Any]) -> Finished:
    seconds = (description["stopDate"] - description["startDate"]).total_seconds()
    return Finished(
        arn=description["executionArn"],
        status=description["status"],
        seconds=seconds,
        output=json.loads(description.get("output") or "{}"),
        error=description.get("error", ""),
        cause=description.get("cause", ""),
    )
