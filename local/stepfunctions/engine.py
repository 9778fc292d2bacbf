"""The local Step Functions engine: executions of state machines on moto's interpreter, mended.

State machines come from whoever owns them; the engine keeps the executions, their histories and their task
tokens.
AWS documentation: Step Functions API reference; "Service quotas".
"""

from __future__ import annotations

import datetime
import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

from moto.stepfunctions.parser.asl.eval.callback.callback import (
    CallbackOutcomeFailure,
    CallbackOutcomeSuccess,
)

from local.stepfunctions import redrive
from local.stepfunctions.errors import (
    StepFunctionsError,
    execution_does_not_exist,
    map_run_does_not_exist,
    validation_error,
)
from local.stepfunctions.execution import RUNNING, Execution, StateMachine
from local.stepfunctions.mending import install
from local.stepfunctions.pace import REAL_TIME, Pace
from local.stepfunctions.run_context import RunContext
from local.stepfunctions.task_tokens import TokenBook
from local.stepfunctions.work_threads import WorkThreads

MAX_DATA_BYTES = 256 * 1024
_NAME_REFUSED = set(' <>{}[]?*"#%\\^|~`$&,;:/') | {chr(c) for c in (*range(32), *range(127, 160))}

FindStateMachine = Callable[[str], StateMachine | None]
OnStatusChange = Callable[[Execution], None]


def _nothing(_: Execution) -> None:
    """What is called about executions that nobody follows."""


class Engine:
    """Starts, stops and remembers executions.

    `find_state_machine` answers an ARN with a state machine or None. `on_status_change` is called with
    every execution (not with children of map runs) when it starts, is redriven and ends. Refusals are
    StepFunctionsError.
    """

    def __init__(
        self,
        find_state_machine: FindStateMachine,
        *,
        pace: Pace = REAL_TIME,
        on_status_change: OnStatusChange = _nothing,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        install.install()
        self._find_state_machine = find_state_machine
        self._pace = pace
        self._on_status_change = on_status_change
        self._new_id = new_id
        self._lock = threading.RLock()
        self._executions: dict[str, Execution] = {}
        self._tokens = TokenBook()
        self._threads = WorkThreads()
        self._redrive_tokens = redrive.ClientTokens()

    def start(
        self, state_machine_arn: str, name: str | None = None, input_text: str | None = None
    ) -> Execution:
        """Start an execution. The same name and input while it runs answer the one that runs."""
        machine = self.state_machine(state_machine_arn)
        name = _checked_name(name) if name is not None else self._new_id()
        text = _checked_input(input_text if input_text is not None else "{}")
        arn = _execution_arn(machine, name, self._new_id)
        with self._lock:
            there = self._executions.get(arn)
            if there is not None:
                if there.status == RUNNING and json.loads(there.input_text) == json.loads(text):
                    return there
                raise StepFunctionsError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
            execution = Execution(
                arn=arn,
                name=name,
                state_machine=machine,
                input_text=text,
                run=self._run_context(machine),
                on_end=self._on_status_change,
            )
            self._executions[arn] = execution
        self._on_status_change(execution)
        execution.start()
        return execution

    def redrive(self, arn: str, client_token: str | None = None) -> datetime.datetime:
        """Let an unsuccessful execution go on where it ended; when it was redriven.

        Raises ExecutionDoesNotExist and ExecutionNotRedrivable.
        """
        execution = self.execution(arn)
        now = datetime.datetime.now(tz=datetime.UTC)
        with self._lock:
            earlier = self._redrive_tokens.redriven_at(arn, client_token, now)
            if earlier is not None:
                return earlier
            redrive.assert_redrivable(execution, now)
            execution.prepare_redrive(now)
            self._redrive_tokens.note(arn, client_token, now)
        self._on_status_change(execution)
        execution.resume()
        return now

    def stop(self, arn: str, error: str | None = None, cause: str | None = None) -> Execution:
        """Abort a running execution and its map children; one that is over stays as it is."""
        execution = self.execution(arn)
        if execution.status == RUNNING:
            execution.abort(error, cause)
        return execution

    def forget(self, arn: str) -> None:
        """Lose an execution that has ended, as Step Functions does after 90 days: its name may come again."""
        self.execution(arn).finish()
        with self._lock:
            del self._executions[arn]

    def execution(self, arn: str) -> Execution:
        """The execution or map child of that ARN."""
        execution = self._executions.get(arn)
        if execution is None:
            raise execution_does_not_exist(arn)
        return execution

    def executions(self) -> list[Execution]:
        """Every execution and map child, the latest first."""
        with self._lock:
            return list(reversed(self._executions.values()))

    def map_run(self, arn: str) -> Any:
        """moto's record of a map run."""
        for execution in self.executions():
            for record in execution.map_runs:
                if record.map_run_arn == arn:
                    return record
        raise map_run_does_not_exist(arn)

    def state_machine(self, arn: str) -> StateMachine:
        """The state machine of that ARN."""
        machine = self._find_state_machine(arn)
        if machine is None:
            raise StepFunctionsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        return machine

    def succeed_task(self, token: str, output: str) -> None:
        """SendTaskSuccess."""
        if len(output.encode()) > MAX_DATA_BYTES:
            raise _too_long("output")
        try:
            json.loads(output)
        except ValueError:
            raise StepFunctionsError("InvalidOutput", "Invalid Output: 'Invalid JSON'") from None
        self._tokens.answer(token, CallbackOutcomeSuccess(callback_id=token, output=output))

    def fail_task(self, token: str, error: str | None, cause: str | None) -> None:
        """SendTaskFailure."""
        self._tokens.answer(token, CallbackOutcomeFailure(callback_id=token, error=error, cause=cause))

    def beat_task(self, token: str) -> None:
        """SendTaskHeartbeat."""
        self._tokens.beat(token)

    def state_machine_of_task(self, token: str) -> str | None:
        """The ARN of the state machine whose task has the token, or None for a token never given out."""
        return self._tokens.state_machine_of(token)

    def close(self) -> None:
        """Stop whatever runs and forget everything. Calls of tasks that are under way go on: see `join`."""
        for execution in self.executions():
            execution.abort()
        with self._lock:
            self._executions.clear()
        self._tokens.clear()
        self._redrive_tokens.clear()

    def join(self) -> None:
        """Wait until no thread works for an execution any more: the call of a task that was stopped or timed
        out goes on until it is answered. Raises TimeoutError with the names of those that go on."""
        self._threads.join()

    def _run_context(self, machine: StateMachine) -> RunContext:
        def start_child(record: Any, program: Any, input_value: Any) -> Execution:
            return self._start_child(machine, record, program, input_value)

        def announce(token: str, task: Any) -> None:
            self._tokens.announce(token, task, machine.arn)

        return RunContext(
            pace=self._pace, announce_token=announce, start_child=start_child, threads=self._threads
        )

    def _start_child(self, machine: StateMachine, record: Any, program: Any, input_value: Any) -> Execution:
        name = self._new_id()
        child_machine = StateMachine(
            record.map_state_machine_arn, machine.name, machine.definition, machine.role_arn
        )
        arn = record.map_state_machine_arn.replace(":stateMachine:", ":execution:") + f":{name}"
        child = Execution(
            arn=arn,
            name=name,
            state_machine=child_machine,
            input_text=json.dumps(input_value, separators=(",", ":"), ensure_ascii=False),
            run=self._run_context(machine),
            on_end=_nothing,
            program=program,
            map_run_arn=record.map_run_arn,
        )
        with self._lock:
            self._executions[arn] = child
        child.start()
        return child


def _execution_arn(machine: StateMachine, name: str, new_id: Callable[[], str]) -> str:
    if machine.type == "EXPRESS":
        return machine.arn.replace(":stateMachine:", ":express:") + f":{name}:{new_id()}"
    return machine.arn.replace(":stateMachine:", ":execution:") + f":{name}"


def _checked_name(name: str) -> str:
    if not 1 <= len(name) <= 80 or _NAME_REFUSED & set(name):
        raise StepFunctionsError("InvalidName", f"Invalid Name: '{name}'")
    return name


def _checked_input(text: str) -> str:
    if len(text.encode()) > MAX_DATA_BYTES:
        raise _too_long("input")
    try:
        json.loads(text)
    except ValueError:
        raise StepFunctionsError(
            "InvalidExecutionInput", "Invalid State Machine Execution Input: 'Invalid JSON'"
        ) from None
    return text


def _too_long(parameter: str) -> StepFunctionsError:
    return validation_error(
        f"1 validation error detected: Value at '{parameter}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {MAX_DATA_BYTES}"
    )
