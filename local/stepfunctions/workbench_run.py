"""An execution as a test looks at it."""

from __future__ import annotations

import json
from typing import Any

from local.stepfunctions.engine import Engine
from local.stepfunctions.execution import Execution
from local.stepfunctions.run_context import Delay


class Run:
    """An execution, or a child of a map run, as a test looks at it."""

    def __init__(self, engine: Engine, execution: Execution) -> None:
        self._engine = engine
        self._execution = execution

    def wait(self, timeout: float = 120.0) -> Run:
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

    def redrive(self) -> Run:
        """RedriveExecution. Raises StepFunctionsError."""
        self._engine.redrive(self.arn)
        return self
