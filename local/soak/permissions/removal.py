"""One permission taken away: does the run end as it must, and is the action named where one looks?"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from local.soak.permissions.catalogue import expected_end, scenario_of
from local.soak.permissions.dead_letters import DeadLetters
from local.soak.permissions.grants import DeployedRoles, Grant
from local.soak.permissions.scenarios import SCENARIOS, Answer, Shown, is_another
from local.soak.permissions.stage import DidNotHappenError, Stage

# A redrive waits a minute before it believes that SQS has not heard of its move task.
END_SECONDS = 150.0
LOG_SECONDS = 20.0


@dataclass(frozen=True)
class Removal:
    """What became of a run without a permission: its status, where the action was named, and what is wrong
    with that, if anything."""

    permission: str
    scenario: str
    status: str
    named_in: str
    seconds: float
    problem: str | None


def remove(stage: Stage, roles: DeployedRoles, grant: Grant) -> Removal:
    """Take `grant` away, let its scenario happen, put it back and see that the next run completes."""
    scenario = scenario_of(grant)
    if scenario is None:
        raise LookupError(f"no scenario shows {grant}")
    began = time.monotonic()
    status = named_in = "-"
    problem: str | None
    try:
        status, named_in = _without(stage, roles, grant, scenario)
        problem = _judge(grant, status, named_in)
    except DidNotHappenError as error:
        problem = str(error)
    except Exception as error:  # what one scenario cannot do must not end the others
        problem = f"the scenario broke down with {type(error).__name__}: {error}"
    finally:
        recovery = settle(stage)
    seconds = time.monotonic() - began
    return Removal(str(grant), scenario, status, named_in, seconds, problem or recovery)


def settle(stage: Stage) -> str | None:
    """End what runs, forget faults and dead letters, and run once more; what is wrong if that run does not
    complete."""
    stage.no_faults()
    DeadLetters(stage).settle()
    states = stage.client("stepfunctions")
    machine = stage.outputs["ExportStateMachineArn"]
    for execution in states.list_executions(stateMachineArn=machine, statusFilter="RUNNING")["executions"]:
        stage.stop(execution["executionArn"])
    owner = stage.state().get("owner", "")
    if is_another(owner):
        stage.release_lock_of(owner)
    with suppress(DidNotHappenError):
        stage.wait_until(lambda: "owner" not in stage.state(), 3)
    stage.change_a_patient()
    arn = stage.start()
    try:
        stage.wait_until(lambda: stage.describe(arn)["status"] != "RUNNING")
    except DidNotHappenError:
        return "the run after it did not end"
    end = stage.describe(arn)
    completed = '"COMPLETED"' in end.get("output", "")
    return None if completed else f"the run after it ended as {end['status']}: {end.get('cause', '')[:300]}"


def _without(stage: Stage, roles: DeployedRoles, grant: Grant, scenario: str) -> tuple[str, str]:
    steps = SCENARIOS[scenario](stage)
    next(steps)
    since = int(time.time() * 1000) - 1
    with roles.lacking(grant):
        shown = _finish(steps)
        if isinstance(shown, Answer):
            named = grant.service_action.lower() in shown.text.lower()
            return ("FAILED" if shown.failed else "SUCCEEDED"), ("answer" if named else "nowhere")
        return _look(stage, grant, shown, since)


def _finish(steps: object) -> Shown:
    try:
        next(steps)  # type: ignore[call-overload]
    except StopIteration as end:
        shown: Shown = end.value
        return shown
    raise AssertionError("a scenario yields once")


def _look(stage: Stage, grant: Grant, arn: str, since: int) -> tuple[str, str]:
    """The execution's status and where the action is named. An execution that goes on is left alone once
    the log says why."""

    def is_named(text: str) -> bool:
        return grant.service_action.lower() in text.lower()

    def has_ended() -> bool:
        return bool(stage.describe(arn)["status"] != "RUNNING")

    def is_logged() -> bool:
        return is_named(stage.logged_since(since))

    if expected_end(grant) == "RUNNING":
        stage.wait_until(lambda: has_ended() or is_logged(), END_SECONDS)
    else:
        _wait_for_end(stage, has_ended, is_logged)
    end = stage.describe(arn)
    if is_named(end.get("cause", "")):
        return end["status"], "cause"
    if is_named(end.get("output", "")):
        return end["status"], "output"
    if is_named(stage.causes_of_children(arn)):
        return end["status"], "cause of a child execution"
    with suppress(DidNotHappenError):
        stage.wait_until(is_logged, LOG_SECONDS)
        return end["status"], "log"
    return end["status"], "nowhere"


def _wait_for_end(stage: Stage, has_ended: Callable[[], bool], is_logged: Callable[[], bool]) -> None:
    try:
        stage.wait_until(has_ended, END_SECONDS)
    except DidNotHappenError:
        where = "though the log names the action" if is_logged() else "and no log names the action"
        raise DidNotHappenError(f"the execution goes on, {where}") from None


def _judge(grant: Grant, status: str, named_in: str) -> str | None:
    expected = expected_end(grant)
    if status != expected:
        return f"the execution ended as {status}, and {expected} was expected"
    if named_in == "nowhere":
        return f"{grant.service_action} is named neither in the cause nor in a log"
    return None
