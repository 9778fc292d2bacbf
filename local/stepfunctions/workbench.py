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
  `bench.call_faults.plan("State", fault)` lets the state's next call of a service (Lambda included) meet a
  fault. `bench.invocations` has every call with its event and its result or Lambda error.
- `pace.delays` shortens Wait states, retry intervals and SQS delays; `pace.timeouts` shortens
  TimeoutSeconds and HeartbeatSeconds. `run.delays` has what was asked for.
- `bench.events` has every entry taken by an event bus, `bench.connect_rule(pattern, target)` delivers the
  matching ones, those of Step Functions status changes included, to a function name or a callable.
- `bench.moves` runs SQS message-move tasks, at the pace's delays: `moves.pause()` keeps them RUNNING until
  `moves.resume()`, `moves.wait(arn)` waits for the end of a queue's.
- Leaving the bench stops its executions, moves, pumps and rules, and waits until every call that is under way
  has ended: none reaches into the bench that is opened next.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest import mock

import boto3
from moto import mock_aws
from moto.sqs.models import Message

from local.sqs import moto_queues
from local.sqs.moving import MoveTasks
from local.stepfunctions import api
from local.stepfunctions.engine import Engine
from local.stepfunctions.execution import Execution, StateMachine, parse_definition
from local.stepfunctions.mending import service_clients
from local.stepfunctions.pace import REAL_TIME, Pace
from local.stepfunctions.status_events import DETAIL_TYPE, SOURCE, status_change_detail
from local.stepfunctions.workbench_bus import ACCOUNT, REGION, Bus, Event, event_of
from local.stepfunctions.workbench_doorway import Doorway
from local.stepfunctions.workbench_faults import CallFaults
from local.stepfunctions.workbench_functions import Functions, Handler, Invocation
from local.stepfunctions.workbench_queues import QueuePump
from local.stepfunctions.workbench_run import Run

__all__ = [
    "ACCOUNT",
    "REGION",
    "ROLE_ARN",
    "Event",
    "Invocation",
    "Pace",
    "Run",
    "Workbench",
    "event_of",
    "function_arn",
    "substituted",
]

ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/workbench"


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


class Workbench:
    """A state machine, its handlers and the services around them. See the module's docstring.

    The definition is a file, or a mapping for a small one.
    """

    def __init__(
        self,
        definition: Path | str | Mapping[str, Any],
        substitutions: Mapping[str, str],
        functions: Mapping[str, Handler],
        *,
        pace: Pace = REAL_TIME,
        name: str = "workflow",
        encrypted: bool = False,
    ) -> None:
        self._substitutions = dict(substitutions)
        text = self._text_of(definition)
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"
        self.state_machine = StateMachine(arn, name, text, ROLE_ARN, encrypted=encrypted)
        self.functions: dict[str, Handler] = dict(functions)
        self._pace = pace
        self._machines = {arn: self.state_machine}
        self.engine = Engine(self._machines.get, pace=pace, on_status_change=self._announce_status)
        self._runner = Functions(self.functions, region=REGION, account=ACCOUNT, on_call=self._notice)
        self._changed = threading.Condition()
        self._bus = Bus(self._notice)
        self.moves = MoveTasks(moto_queues.MotoQueues(), pace=pace.delays, on_move=self._wake_pumps)
        self._doorway = Doorway(
            states=self._states,
            moves=moto_queues.answering(self.moves),
            on_events=self._bus.put_entries,
            on_message=self._wake_pumps,
        )
        self._ambient = service_clients.AmbientClients()
        self.call_faults = CallFaults()
        self._pumps: list[QueuePump] = []
        self._moto = mock_aws()
        # Lambda sets the region for its functions.
        region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        self._environment = mock.patch.dict(os.environ, region)
        self._sqs_delay = mock.patch.object(Message, "delay", self._paced_delay())
        self.queue_delays: list[int] = []
        parse_definition(text)

    def __enter__(self) -> Workbench:
        moto_queues.install()
        self._moto.start()
        self._environment.start()
        self._sqs_delay.start()
        self._doorway.open()
        service_clients.use(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as left:  # whatever fails, the process is as it was before
            for close in (self._moto.stop, self._environment.stop, self._sqs_delay.stop):
                left.callback(close)
            left.callback(self._doorway.close)
            left.callback(service_clients.use, None)
            left.callback(self.moves.join)
            left.callback(self.moves.reset)
            left.callback(self.engine.join)
            left.callback(self.engine.close)
            left.callback(self._bus.disconnect)
            for pump in self._pumps:
                left.callback(pump.stop)
            self.call_faults.release()

    def update(self, definition: Path | str | Mapping[str, Any]) -> None:
        """UpdateStateMachine: executions that start from now on run this definition."""
        self.state_machine = replace(self.state_machine, definition=self._text_of(definition))
        self._machines[self.state_machine.arn] = self.state_machine

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

    def under_way(self, function: str) -> int:
        """How many calls of one function have not returned yet."""
        return self._runner.under_way(function)

    def invoke(self, function: str, event: Any) -> Invocation:
        """Call a function as Lambda would."""
        return self._runner.call(function, json.dumps(event))

    def client(self, service: str, region: str = REGION, role_arn: str = ROLE_ARN) -> Any:
        """A boto3 client as the tasks of the state machine have it; the functions for `lambda`."""
        found = self._runner if service == "lambda" else self._ambient.client(service, region, role_arn)
        return self.call_faults.meeting(found)

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
        self._bus.connect(pattern, deliver)

    @property
    def events(self) -> list[Event]:
        """Events that handlers put on buses, as a target gets them, with their bus under `bus`."""
        return [event for event in self._bus.events if event["source"] != SOURCE]

    @property
    def status_events(self) -> list[Event]:
        """Step Functions status changes, as a target gets them."""
        return [event for event in self._bus.events if event["source"] == SOURCE]

    def put_event(self, event: Event) -> None:
        """Let an AWS service's event arrive: kept and delivered like any other."""
        self._bus.put(event)

    def wait_until(self, condition: Callable[[], bool], timeout: float = 120.0) -> None:
        """Wait until the condition holds, tried after each call, event and status change, or TimeoutError."""
        ends_at = time.monotonic() + timeout
        while not condition():
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"not so after {timeout} s")
            with self._changed:
                self._changed.wait(min(left, 0.02))

    def _text_of(self, definition: Path | str | Mapping[str, Any]) -> str:
        mapping = isinstance(definition, Mapping)
        text = json.dumps(definition) if mapping else Path(str(definition)).read_text()
        return substituted(text, self._substitutions)

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
        detail = status_change_detail(execution)
        self._bus.put(event_of(SOURCE, DETAIL_TYPE, detail, resources=[execution.arn]))

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
