"""One execution of a state machine, or one child of a map run, on moto's engine."""

from __future__ import annotations

import datetime
import functools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.stepfunctions.parser.api import (
    ExecutionRedrivenEventDetails,
    ExecutionStartedEventDetails,
    HistoryEventExecutionDataDetails,
    HistoryEventType,
    StateMachineType,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackPoolManager
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.asl.eval.program_state import (
    ProgramEnded,
    ProgramError,
    ProgramStopped,
    ProgramTimedOut,
)
from moto.stepfunctions.parser.asl.eval.states import ContextObjectData, ExecutionData, StateMachineData
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.utils import TMP_THREADS

from local.stepfunctions.history import ExecutionHistory
from local.stepfunctions.mending.interruption import RESUMES_AT
from local.stepfunctions.run_context import RunContext, RunDetails

RUNNING = "RUNNING"


@dataclass(frozen=True)
class StateMachine:
    """What an execution runs: `type` is STANDARD or EXPRESS; `encrypted` means with a customer's key."""

    arn: str
    name: str
    definition: str
    role_arn: str
    type: str = "STANDARD"
    encrypted: bool = False


@functools.lru_cache(maxsize=64)
def parse_definition(definition: str) -> Any:
    """The program of a definition; parsed once, since it keeps no state of an execution.

    Raises moto's ASLParserException, ValueError and their like for a definition that is none.
    """
    return AmazonStateLanguageParser.parse(definition)[0]


def iso_milliseconds(moment: datetime.datetime) -> str:
    """ISO 8601 in UTC with milliseconds and Z, as the context object has it."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Execution:
    """One run. `status` is RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED; `done` is set with the last."""

    def __init__(
        self,
        *,
        arn: str,
        name: str,
        state_machine: StateMachine,
        input_text: str,
        run: RunContext,
        on_end: Callable[[Execution], None],
        program: Any = None,
        map_run_arn: str | None = None,
    ) -> None:
        self.arn = arn
        self.name = name
        self.state_machine = state_machine
        self.input_text = input_text
        self.run = run
        self.map_run_arn = map_run_arn
        self.start_date = datetime.datetime.now(tz=datetime.UTC)
        self.stop_date: datetime.datetime | None = None
        self.status = RUNNING
        self.output: Any = None
        self.error: str | None = None
        self.cause: str | None = None
        self.redrive_count = 0
        self.redrive_date: datetime.datetime | None = None
        self.done = threading.Event()
        self._on_end = on_end
        self._program = program or parse_definition(state_machine.definition)
        self._env = self._environment()
        # From here on it can be stopped, even before its thread has begun.
        self._env.next_state_name = self._program.start_at.start_at_name

    @property
    def output_text(self) -> str:
        """The output as the API gives it."""
        return json.dumps(self.output, separators=(",", ":"), ensure_ascii=False)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The history so far, oldest first."""
        return self._env.event_manager.get_event_history()  # type: ignore[no-any-return]

    @property
    def map_runs(self) -> list[Any]:
        """Records of the map runs this execution has started."""
        return self._env.map_run_record_pool_manager.get_all()  # type: ignore[no-any-return]

    def start(self) -> None:
        """Run in a thread of its own."""
        details = ExecutionStartedEventDetails(
            input=self.input_text,
            inputDetails=HistoryEventExecutionDataDetails(truncated=False),
            roleArn=self.state_machine.role_arn,
        )
        self._begin(HistoryEventType.ExecutionStarted, executionStartedEventDetails=details)

    def prepare_redrive(self, now: datetime.datetime) -> None:
        """Be RUNNING again, at the state in which it ended unsuccessfully; `resume` lets it go on there. One
        that was stopped before it had entered any begins anew.

        AWS documentation: "Restarting state machine executions with redrive in Step Functions".
        """
        self.finish()
        self.redrive_count += 1
        self.redrive_date = now
        ended, self._env = self._env, self._environment()
        self._env.event_manager = ExecutionHistory(self.run, ended.event_manager.get_event_history())
        self._env.map_run_record_pool_manager = ended.map_run_record_pool_manager
        checkpoint = self.run.checkpoint
        if checkpoint is not None:
            self._env.states.reset(checkpoint.input)
            setattr(self._env, RESUMES_AT, checkpoint.state)
        self._env.next_state_name = checkpoint.state if checkpoint else self._program.start_at.start_at_name
        self.run.resume()
        self.done.clear()
        self.stop_date = self.error = self.cause = None
        self.status = RUNNING

    def resume(self) -> None:
        """Go on after `prepare_redrive`."""
        details = ExecutionRedrivenEventDetails(redriveCount=self.redrive_count)
        self._begin(HistoryEventType.ExecutionRedriven, executionRedrivenEventDetails=details)

    def finish(self) -> None:
        """Wait for the end."""
        self.done.wait()

    def abort(self, error: str | None = None, cause: str | None = None) -> None:
        """Stop it now; nothing happens when it is over already."""
        self._env.set_stop(stop_date=datetime.datetime.now(tz=datetime.UTC), cause=cause, error=error)
        self.done.wait()

    def _begin(self, event_type: HistoryEventType, **details: Any) -> None:
        self._env.event_manager.add_event(
            context=self._env.event_history_context,
            event_type=event_type,
            event_details=EventDetails(**details),
            update_source_event_id=False,
        )
        self.run.threads.start("states-execution", self._evaluate)

    def _evaluate(self) -> None:
        try:
            self._program.eval(self._env)
            self._take_over_result(self._env.program_state())
            self._on_end(self)
        finally:
            # moto keeps every thread it ever started in one list.
            TMP_THREADS[:] = [thread for thread in TMP_THREADS if thread.is_alive()]
            self.done.set()

    def _take_over_result(self, state: Any) -> None:
        self.stop_date = datetime.datetime.now(tz=datetime.UTC)
        if isinstance(state, ProgramEnded):
            self.output = self._env.states.get_input()
            self.status = "SUCCEEDED"
        elif isinstance(state, ProgramStopped):
            self.error, self.cause = state.error, state.cause
            self.status = "ABORTED"
        elif isinstance(state, ProgramTimedOut):
            self.status = "TIMED_OUT"
        else:
            assert isinstance(state, ProgramError)
            details = state.error or {}
            self.error, self.cause = details.get("error"), details.get("cause")
            self.status = "FAILED"

    def _environment(self) -> Any:
        machine = self.state_machine
        region, account = self.arn.split(":")[3:5]
        execution = ExecutionData(
            Id=self.arn,
            Input=json.loads(self.input_text),
            Name=self.name,
            RoleArn=machine.role_arn,
            StartTime=iso_milliseconds(self.start_date),
        )
        execution["RedriveCount"] = self.redrive_count
        if self.redrive_date is not None:
            execution["RedriveTime"] = iso_milliseconds(self.redrive_date)
        env = Environment(
            aws_execution_details=RunDetails(account, region, machine.role_arn, self.run),
            execution_type=StateMachineType(machine.type),
            context=ContextObjectData(
                Execution=execution, StateMachine=StateMachineData(Id=machine.arn, Name=machine.name)
            ),
            event_history_context=EventHistoryContext.of_program_start(),
            cloud_watch_logging_session=None,
            activity_store={},
        )
        env.event_manager = ExecutionHistory(self.run)
        env.callback_pool_manager = CallbackPoolManager(activity_store={})
        return env
