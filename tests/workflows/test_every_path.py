"""Every transition, retry and catch of the export workflow, read from its definition: none can be forgotten.

What the definition gains needs a way that leads there (`local.testing.export_journeys`), or a test here fails
and names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest

from local.testing.export_hub import DEFINITION, ExportHub
from local.testing.export_journeys import WAYS, Journey, Journeys
from local.testing.state_machine_edges import Edge, NamedError, caught_errors, edges, retried_errors
from local.testing.state_machine_reader import PlacedState, states
from local.testing.task_faults import UNFORESEEN, fault

MACHINE = json.loads(DEFINITION.read_text())
STATES = {placed.name: placed for placed in states(MACHINE)}
EDGES = edges(MACHINE)
RETRIED = retried_errors(MACHINE)
CAUGHT = caught_errors(MACHINE)
FIRST_RETRIED = list({named.state: named for named in reversed(RETRIED)}.values())[::-1]
IN_A_MAP = [placed for placed in STATES.values() if placed.inside and placed.kind == "Task"]
TIMEOUT = "States.Timeout"
HEARTBEAT = "States.HeartbeatTimeout"


def impatient(machine: Any, error: str, seconds: int) -> Any:
    """The machine with so short a time to whatever retries or catches that timeout by its name."""
    member = "HeartbeatSeconds" if error == HEARTBEAT else "TimeoutSeconds"
    changed = json.loads(json.dumps(machine))
    for placed in states(changed):
        handlers = [*placed.definition.get("Retry", []), *placed.definition.get("Catch", [])]
        if any(error in handler["ErrorEquals"] for handler in handlers):
            assert isinstance(placed.definition, dict)
            placed.definition[member] = seconds
    return changed


@dataclass
class Roads:
    """Journeys through the hub that this module shares, each made when it is first asked for."""

    hub: ExportHub

    def __post_init__(self) -> None:
        self._journeys = Journeys(self.hub)
        self._made: dict[Any, Journey] = {}

    def plain(self, way: str) -> Journey:
        """The way without further faults."""
        if way not in self._made:
            self._made[way] = self._journeys.take(way)
        return self._made[way]

    def way_through(self, state: str) -> str:
        """The first way that enters the state."""
        for way in WAYS:
            if state in self.plain(way).states:
                return way
        pytest.fail(f"no way of {__name__} leads through {state}")

    def every(self) -> Iterator[Journey]:
        """Every way, and what every catcher leads to."""
        yield from map(self.plain, WAYS)
        yield from map(self.caught, CAUGHT)

    def caught(self, named: NamedError) -> Journey:
        """A journey on which the state fails with the error until nothing retries it."""
        return self._with_faults(
            self.way_through(named.state), {named.state: [named.error] * (named.retries + 1)}
        )

    def beside_an_unknown_run(self, request: Any, until: str) -> Journey:
        """A journey with that input that meets a lock, up to the state; it is stopped there."""
        return self._journeys.stopped_beside_an_unknown_run(request, until)

    def retried(self, named: NamedError) -> tuple[Journey, list[str]]:
        """A journey on which the error is retried, in the company of as many others as one visit of the
        state takes, at every state of that way; and all errors that were raised at this state."""
        way = self.way_through(named.state)
        if named.error == TIMEOUT:
            raised = {other.state: [TIMEOUT] for other in RETRIED if other.error == TIMEOUT}
        else:
            batch = self._batches[named.state].index(self._batch_of(named))
            raised = {
                state: batches[batch] for state, batches in self._batches.items() if len(batches) > batch
            }
        # A state that other ways have in common with this one is tried on the first of them.
        here = {state: errors for state, errors in raised.items() if self.way_through(state) == way}
        return self._with_faults(way, here), here[named.state]

    def _batch_of(self, named: NamedError) -> list[str]:
        return next(batch for batch in self._batches[named.state] if named.error in batch)

    @cached_property
    def _batches(self) -> dict[str, list[list[str]]]:
        batches: dict[str, list[list[str]]] = {}
        for named in RETRIED:
            if named.error == TIMEOUT:
                continue
            of_state = batches.setdefault(named.state, [[]])
            if len(of_state[-1]) == named.retries:
                of_state.append([])
            of_state[-1].append(named.error)
        return batches

    def _with_faults(self, way: str, errors: dict[str, list[str]]) -> Journey:
        key = (way, json.dumps(errors))
        if key not in self._made:
            planned = {
                state: [
                    fault(error, resource_of(STATES[state]), self.hub.bench.call_faults) for error in named
                ]
                for state, named in errors.items()
            }
            timeouts = {TIMEOUT, HEARTBEAT} & {error for named in errors.values() for error in named}
            if timeouts:
                self.hub.bench.update(impatient(MACHINE, timeouts.pop(), seconds=1))
            try:
                self._made[key] = self._journeys.take(way, planned)
            finally:
                self.hub.bench.update(MACHINE)
        return self._made[key]


def resource_of(placed: PlacedState) -> str:
    """What a state calls: for a map, where it reads its items."""
    definition = placed.definition
    resource = definition["ItemReader"]["Resource"] if placed.kind == "Map" else definition["Resource"]
    return str(resource)


@pytest.fixture(scope="module")
def roads() -> Iterator[Roads]:
    with pytest.MonkeyPatch.context() as patches:
        patches.delenv("AWS_PROFILE", raising=False)
        with ExportHub(patches) as hub:
            yield Roads(hub)


@pytest.mark.parametrize("named", RETRIED, ids=str)
def test_every_named_error_is_retried_and_the_run_ends_as_it_would_have(
    roads: Roads, named: NamedError
) -> None:
    undisturbed = roads.plain(roads.way_through(named.state))

    journey, raised = roads.retried(named)

    assert named.error in raised
    if named.error == TIMEOUT:
        # How often depends on the machine: every call has but a short time here.
        assert TIMEOUT in journey.errors[named.state]
    else:
        assert list(journey.errors[named.state])[: len(raised)] == raised
    assert (journey.path, journey.status, journey.error) == (
        undisturbed.path,
        undisturbed.status,
        undisturbed.error,
    )


@pytest.mark.parametrize("named", CAUGHT, ids=str)
def test_every_caught_error_leads_where_the_catcher_says_once_no_retry_is_left(
    roads: Roads, named: NamedError
) -> None:
    journey = roads.caught(named)

    assert len(journey.errors[named.state]) >= named.retries + 1
    left_for = journey.path[journey.path.index(named.state) + 1]
    assert left_for == named.target, (journey.path, journey.errors)


@pytest.mark.parametrize("named", FIRST_RETRIED, ids=str)
def test_an_error_that_outlasts_its_retries_is_caught_as_any_other(roads: Roads, named: NamedError) -> None:
    journey = roads.caught(named)

    assert journey.errors[named.state].count(named.error) == named.retries + 1
    around = STATES[named.state].inside
    left = around[-1] if around else named.state
    [target] = {one.target for one in CAUGHT if (one.state, one.error) == (left, "States.ALL")}
    assert journey.path[journey.path.index(left) + 1] == target


@pytest.mark.parametrize("placed", IN_A_MAP, ids=lambda placed: placed.name)
def test_an_error_that_nothing_retries_fails_the_child_and_with_it_the_map(
    roads: Roads, placed: PlacedState
) -> None:
    unforeseen = NamedError(placed.name, "States.ALL", 0)

    journey = roads.caught(unforeseen)

    assert journey.errors[placed.name] == (UNFORESEEN,)
    assert journey.errors[placed.inside[-1]] == ("States.ExceedToleratedFailureThreshold",)
    assert journey.status == "FAILED"


def asked_for(machine: Any) -> list[tuple[str, str, str]]:
    """Members of the input whose presence decides a Choice: the state, the member, where it leads."""
    return [
        (placed.name, part["Variable"].rsplit(".", 1)[-1], rule["Next"])
        for placed in states(machine)
        for rule in placed.definition.get("Choices", [])
        for part in rule.get("Or", [rule])
        if part.get("IsPresent") and part["Variable"].startswith("$$.Execution.Input.")
    ]


INPUTS = {
    "types": ["Patient"],
    "since": "2026-01-01T00:00:00Z",
    "until": "2100-01-01T00:00:00Z",
    "full": True,
    "acceptErrors": True,
}


@pytest.mark.parametrize(("state", "member", "target"), asked_for(MACHINE))
def test_every_member_of_the_input_that_decides_a_way_leads_along_it(
    roads: Roads, state: str, member: str, target: str
) -> None:
    journey = roads.beside_an_unknown_run({member: INPUTS[member]}, until=target)

    assert Edge(state, target) in journey.edges


@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_every_transition_is_made(roads: Roads, edge: Edge) -> None:
    assert any(edge in journey.edges for journey in roads.every()), f"no way leads along {edge}"
