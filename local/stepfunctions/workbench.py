"""Runs a state machine file with real Python handlers, in one process, on the mended engine and moto.

    handlers = {"start-export": start_export.lambda_handler, "check-export": check_export.lambda_handler}
    with Workbench(
        Path("statemachines/healthlake_export.asl.json"),
        {"StartExportFunctionArn": function_arn("start-export"), "TableName": "hub"},
        handlers,
        pace=Pace(delays=0.001, timeouts=0.05),
    ) as bench:
        boto3.client("sqs").create_queue(...)             # moto serves everything but Step Functions
        bench.connect_queue(queue_url, "check-export")    # an SQS event source
        run = bench.start({"types": ["Patient"]}).wait()
        assert run.path == ["Acquire Run Lock", ...]

- An open bench is inside moto's `mock_aws` (nesting in another is fine). Tasks and handlers share its
  services, and boto3 clients for `stepfunctions` anywhere in the process reach this bench's engine: task
  tokens, DescribeExecution, StopExecution. Clear cached boto3 clients of handlers before opening one.
- Functions are found by name or ARN. `bench.functions["name"] = other` swaps one for a fault;
  `bench.invocations` has every call with its event and its result or Lambda error.
- `pace.delays` shortens Wait states, retry intervals and SQS delays; `pace.timeouts` shortens
  TimeoutSeconds and HeartbeatSeconds. `run.delays` has what was asked for.
- `bench.events` has every entry taken by an event bus, `bench.connect_rule(pattern, target)` delivers the
  matching ones, those of Step Functions status changes included, to a function name or a callable.
- Leaving the bench stops its executions, pumps and rules.
"""

from __future__ import annotations

import datetime
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

import boto3
from moto import mock_aws
from moto.events.models import EventPattern
from moto.sqs.models import Message

from local.stepfunctions import api
from local.stepfunctions.engine import Engine
from local.stepfunctions.execution import Execution, StateMachine, parse_definition
from local.stepfunctions.mending import service_clients
from local.stepfunctions.pace import REAL_TIME, Pace
from local.stepfunctions.run_context import Delay
from local.stepfunctions.status_events import DETAIL_TYPE, SOURCE, status_change_detail
from local.stepfunctions.workbench_doorway import Doorway
from local.stepfunctions.workbench_functions import Functions, Handler, Invocation
from local.stepfunctions.workbench_queues import QueuePump

ACCOUNT = "123456789012"
REGION = "us-east-1"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/workbench"

Event = dict[str, Any]


def function_arn(name: str) -> str:
    """The ARN of a function of that name in the bench's account."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def substituted(definition: str, substitutions: Mapping[str, str]) -> str:
    """The definition with `${Name}` replaced as CloudFormation's DefinitionSubstitutions does.

    Raises ValueError with the names that have no value.
    """
    missing = sorted(set(re.findall(r"\$\{(\w+)\}", definition)) - set(substitutions))
    if missing:
        raise ValueError(f"no substitution for {', '.join(missing)}")
    return re.sub(r"\$\{(\w+)\}", lambda match: str(substitutions[match[1]]), definition)


class Run:
    """An execution, or a child of a map run, as a test looks at it."""

    def __init__(self, engine: Engine, execution: Execution) -> None:
        self._engine = engine
        self._execution = execution

    def wait(self, timeout: float = 30.0) -> Run:
        """Wait for the end and return the run. Raises TimeoutError that says where it is."""
        if not self._execution.done.wait(timeout):
            raise TimeoutError(f"execution {self.name} still runs after {timeout} s, in {self.path[-1:]}")
        return self

    @property
    def arn(self) -> str:
        """The execution's ARN."""
        return self._execution.arn

    @property
    def name(self) -> str:
        """The execution's name."""
        return self._execution.name

    @property
    def status(self) -> str:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED."""
        return self._execution.status

    @property
    def input(self) -> Any:
        """The input, parsed."""
        return json.loads(self._execution.input_text)

    @property
    def output(self) -> Any:
        """The output of a run that succeeded."""
        return self._execution.output

    @property
    def error(self) -> str | None:
        """The error of a run that failed or was aborted with one."""
        return self._execution.error

    @property
    def cause(self) -> str | None:
        """The cause beside the error."""
        return self._execution.cause

    @property
    def history(self) -> list[dict[str, Any]]:
        """History events, oldest first."""
        return self._execution.events

    @property
    def path(self) -> list[str]:
        """The states entered, in order."""
        entered = (event.get("stateEnteredEventDetails") for event in self.history)
        return [details["name"] for details in entered if details is not None]

    @property
    def delays(self) -> tuple[Delay, ...]:
        """Waits and retry intervals as the definition asked for them."""
        return self._execution.run.delays

    @property
    def children(self) -> list[Run]:
        """The children of its map runs, in the order in which they started."""
        arns = {record.map_run_arn for record in self._execution.map_runs}
        found = [e for e in self._engine.executions() if e.map_run_arn in arns]
        return [Run(self._engine, execution) for execution in reversed(found)]

    def stop(self, error: str | None = None, cause: str | None = None) -> Run:
        """StopExecution."""
        self._engine.stop(self.arn, error, cause)
        return self


class Workbench:
    """A state machine file, its handlers and the services around them. See the module's docstring."""

    def __init__(
        self,
        definition_path: Path | str,
        substitutions: Mapping[str, str],
        functions: Mapping[str, Handler],
        *,
        pace: Pace = REAL_TIME,
        name: str = "workflow",
    ) -> None:
        definition = substituted(Path(definition_path).read_text(), substitutions)
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
        self.state_machine = StateMachine(arn, name, definition, ROLE_ARN)
        self.functions: dict[str, Handler] = dict(functions)
        self._pace = pace
        self._machines = {arn: self.state_machine}
        self.engine = Engine(self._machines.get, pace=pace, on_status_change=self._announce_status)
        self._runner = Functions(self.functions, region=REGION, account=ACCOUNT, on_call=self._notice)
        self._doorway = Doorway(
            states=self._states, on_events=self._take_entries, on_message=self._wake_pumps
        )
        self._ambient = service_clients.AmbientClients()
        self._changed = threading.Condition()
        self._events: list[Event] = []
        self._rules: list[tuple[Any, Callable[[Event], Any]]] = []
        self._pumps: list[QueuePump] = []
        self._moto = mock_aws()
        self._sqs_delay = mock.patch.object(Message, "delay", self._paced_delay())
        self.queue_delays: list[int] = []
        parse_definition(definition)

    def __enter__(self) -> Workbench:
        self._moto.start()
        self._sqs_delay.start()
        self._doorway.open()
        service_clients.use(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pump in self._pumps:
            pump.stop()
        self._rules.clear()
        self.engine.close()
        service_clients.use(None)
        self._doorway.close()
        self._sqs_delay.stop()
        self._moto.stop()

    def start(self, input: Any = None, name: str | None = None) -> Run:
        """Start an execution with an input (None is the empty object). Raises StepFunctionsError."""
        text = input if isinstance(input, str) else json.dumps({} if input is None else input)
        return Run(self.engine, self.engine.start(self.state_machine.arn, name, text))

    def run(self, arn: str) -> Run:
        """The execution of that ARN, however it was started."""
        return Run(self.engine, self.engine.execution(arn))

    @property
    def runs(self) -> list[Run]:
        """Every execution so far without map children, oldest first."""
        mine = [e for e in self.engine.executions() if e.map_run_arn is None]
        return [Run(self.engine, execution) for execution in reversed(mine)]

    @property
    def invocations(self) -> list[Invocation]:
        """Every call of a function that has returned."""
        return self._runner.invocations

    def calls(self, function: str) -> list[Invocation]:
        """The calls of one function."""
        return [call for call in self.invocations if call.function == function]

    def invoke(self, function: str, event: Any) -> Invocation:
        """Call a function as Lambda would."""
        return self._runner.call(function, json.dumps(event))

    def client(self, service: str, region: str = REGION, role_arn: str = ROLE_ARN) -> Any:
        """A boto3 client as the tasks of the state machine have it; the functions for `lambda`."""
        return self._runner if service == "lambda" else self._ambient.client(service, region, role_arn)

    def connect_queue(
        self,
        queue_url: str,
        function: str,
        *,
        batch_size: int = 10,
        report_batch_item_failures: bool = True,
    ) -> QueuePump:
        """Deliver the queue's messages to the function until the bench is left or the pump is stopped."""
        sqs = boto3.client("sqs", region_name=REGION)
        pump = QueuePump(
            sqs,
            self._runner,
            queue_url=queue_url,
            function=function,
            batch_size=batch_size,
            partial=report_batch_item_failures,
        )
        self._pumps.append(pump)
        pump.start()
        return pump

    def connect_rule(self, pattern: Mapping[str, Any], target: str | Callable[[Event], Any]) -> None:
        """Deliver events that match the pattern to a function name or a callable, in a thread of its own."""
        deliver = target if callable(target) else lambda event: self.invoke(str(target), event)
        self._rules.append((EventPattern.load(json.dumps(pattern)), deliver))

    @property
    def events(self) -> list[Event]:
        """Events that handlers put on buses, as a target gets them, with their bus under `bus`."""
        with self._changed:
            return [event for event in self._events if event["source"] != SOURCE]

    @property
    def status_events(self) -> list[Event]:
        """Step Functions status changes, as a target gets them."""
        with self._changed:
            return [event for event in self._events if event["source"] == SOURCE]

    def put_event(self, event: Event) -> None:
        """Let an AWS service's event arrive: kept and delivered like any other."""
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()
        for pattern, deliver in list(self._rules):
            if pattern.matches_event(event):
                threading.Thread(target=deliver, args=(event,), name="workbench-rule", daemon=True).start()

    def wait_until(self, condition: Callable[[], bool], timeout: float = 10.0) -> None:
        """Wait until the condition holds; it is tried after every call, event and status change.

        Raises TimeoutError.
        """
        ends_at = time.monotonic() + timeout
        with self._changed:
            while not condition():
                left = ends_at - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"not so after {timeout} s")
                self._changed.wait(min(left, 0.05))

    def _states(self, action: str, request: dict[str, Any]) -> api.Answer:
        if action == "DescribeStateMachine":
            machine = self.state_machine
            body = {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "definition": machine.definition,
                "roleArn": machine.role_arn,
                "type": machine.type,
                "status": "ACTIVE",
                "creationDate": 0,
            }
            return 200, {}, json.dumps(body).encode()
        return api.handle(self.engine, action, request)

    def _announce_status(self, execution: Execution) -> None:
        self.put_event(
            _event(SOURCE, DETAIL_TYPE, status_change_detail(execution), [execution.arn], "default")
        )

    def _take_entries(self, entries: list[dict[str, Any]]) -> None:
        for entry in entries:
            event = _event(
                entry["Source"],
                entry["DetailType"],
                json.loads(entry["Detail"]),
                entry.get("Resources") or [],
                str(entry.get("EventBusName", "default")).rsplit("/", 1)[-1],
            )
            self.put_event({**event, "id": entry["EventId"]})

    def _wake_pumps(self) -> None:
        for pump in self._pumps:
            pump.wake()

    def _notice(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _paced_delay(self) -> Callable[[Any, int], None]:
        def delay(message: Any, delay_seconds: int) -> None:
            self.queue_delays.append(int(delay_seconds))
            message.delayed_until = (time.time() + int(delay_seconds) * self._pace.delays) * 1000

        return delay


def _event(source: str, detail_type: str, detail: Any, resources: list[str], bus: str) -> Event:
    now = datetime.datetime.now(tz=datetime.UTC)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "source": source,
        "detail-type": detail_type,
        "account": ACCOUNT,
        "time": now.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "region": REGION,
        "resources": resources,
        "detail": detail,
        "bus": bus,
    }
