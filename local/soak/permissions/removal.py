"""One permission taken away: does the run end as it must, or what is on its way not arrive, and is the action
named where one looks?"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress
from dataclasses import dataclass

from local.soak.permissions.catalogue import expected_end, named_as, scenario_of
from local.soak.permissions.dead_letters import DeadLetters
from local.soak.permissions.grants import DeployedRoles, Grant
from local.soak.permissions.logs import Logs
from local.soak.permissions.scenarios import SCENARIOS, is_another
from local.soak.permissions.shown import ARRIVED, HELD, LOST, Answer, Journey, Shown
from local.soak.permissions.stage import DidNotHappenError, Stage

# A redrive waits a minute before it believes that SQS has not heard of its move task; functions that have not
# run yet take their time on a busy machine.
END_SECONDS = 150.0
LOG_SECONDS = 20.0
# What a log says is missing may have been wanted, and not needed.
HELD_SECONDS = 1.0


@dataclass(frozen=True)
class Removal:
    """What became of a run, or of what was on its way, without a permission: its status, where the action was
    named, and what is wrong with that, if anything."""

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
    with closing(SCENARIOS[scenario](stage)) as steps:
        next(steps)
        logs = Logs.from_now(stage, grant.role)
        with roles.lacking(grant):
            shown = _shown(steps)
            if isinstance(shown, Answer):
                named = grant.service_action.lower() in shown.text.lower()
                return ("FAILED" if shown.failed else "SUCCEEDED"), ("answer" if named else "nowhere")
            if isinstance(shown, str):
                return _look(stage, grant, shown, logs)
            status, named_in = held(stage, shown, logs, named_as(grant))
        return (status if status == ARRIVED else given_back(stage, shown)), named_in


def _shown(steps: Generator[Journey | None, None, str | Answer | None]) -> Shown:
    """What a scenario returns, or yields while what it has arranged goes on."""
    try:
        shown: Shown | None = next(steps)
    except StopIteration as end:
        shown = end.value
    if shown is None:
        raise AssertionError("a scenario yields once before what one looks at")
    return shown


def held(stage: Stage, journey: Journey, logs: Logs, words: str) -> tuple[str, str]:
    """Whether what is on its way is held, and where that is named by the words."""
    arrived, named_in = False, "nowhere"

    def is_decided() -> bool:
        nonlocal arrived, named_in
        arrived = bool(journey.arrived())
        places = (("answer", journey.told), *logs.of_the_role())
        named_in = next((place for place, text in places if words.lower() in text.lower()), "nowhere")
        return arrived or named_in != "nowhere"

    with suppress(DidNotHappenError):
        stage.wait_until(is_decided)
        if not arrived:
            stage.wait_until(journey.arrived, HELD_SECONDS)
            arrived = True
    return (ARRIVED if arrived else HELD), named_in


def given_back(stage: Stage, journey: Journey) -> str:
    """Whether it arrives now that nothing is missing."""
    journey.again()
    try:
        stage.wait_until(journey.arrived, END_SECONDS)
    except DidNotHappenError:
        return LOST
    return HELD


def _look(stage: Stage, grant: Grant, arn: str, logs: Logs) -> tuple[str, str]:
    """The execution's status and where the action is named. An execution that goes on is left alone once
    the log says why."""

    def is_named(text: str) -> bool:
        return grant.service_action.lower() in text.lower()

    def has_ended() -> bool:
        return bool(stage.describe(arn)["status"] != "RUNNING")

    def is_logged() -> bool:
        return is_named(logs.of_functions())

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
        return f"{_ENDS.get(status, f'the execution ended as {status}')}, and {expected} was expected"
    if named_in == "nowhere":
        return f"{named_as(grant)} is named neither in the cause nor in a log"
    return None


_ENDS = {
    HELD: "it did not arrive, and did once the permission was back",
    ARRIVED: "it arrived without the permission",
    LOST: "it did not even arrive once the permission was back",
}
