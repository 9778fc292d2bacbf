"""Every transition, retry and catch of the redrive workflow, read from its definition: none can be forgotten.

What the definition gains needs a way that leads there (`local.testing.redrive_journeys`), or a test here
fails and names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest

from local.stepfunctions.pace import Pace
from local.testing.redrive_hub import DEFINITION, RedriveHub
from local.testing.redrive_journeys import WAYS, Journey, RedriveJourneys
from local.testing.redrive_situations import MAP
from local.testing.state_machine_edges import Edge, NamedError, caught_errors, edges, retried_errors
from local.testing.state_machine_reader import states
from local.testing.task_faults import fault

MACHINE = json.loads(DEFINITION.read_text())
STATES = {placed.name: placed for placed in states(MACHINE)}
INSIDE = frozenset(placed.name for placed in STATES.values() if placed.inside)
EDGES = edges(MACHINE)
RETRIED = retried_errors(MACHINE)
CAUGHT = caught_errors(MACHINE)
OF_TASKS = [named for named in CAUGHT if named.state != MAP]
FIRST_RETRIED = list({named.state: named for named in reversed(RETRIED)}.values())[::-1]
TIMEOUT = "States.Timeout"
PACE = Pace(delays=0.0002, timeouts=0.3)


def impatient(machine: Any) -> Any:
    """The machine with a second to each of its tasks."""
    changed = json.loads(json.dumps(machine))
    for placed in states(changed):
        if placed.kind == "Task":
            assert isinstance(placed.definition, dict)
            placed.definition["TimeoutSeconds"] = 1
    return changed


@dataclass
class Roads:
    """Journeys that this module shares, each made when it is first asked for."""

    hub: RedriveHub

    def __post_init__(self) -> None:
        self._journeys = RedriveJourneys(self.hub, INSIDE)
        self._made: dict[Any, Journey] = {}

    def plain(self, way: str) -> Journey:
        """The way without further faults."""
        if way not in self._made:
            self._made[way] = self._journeys.take(way)
        return self._made[way]

    def way_through(self, state: str) -> str:
        """The first way that enters the state."""
        for way in WAYS:
            if state in self.plain(way).path:
                return way
        pytest.fail(f"no way of {__name__} leads through {state}")

    def every(self) -> Iterator[Journey]:
        """Every way, and what every catcher leads to."""
        yield from map(self.plain, WAYS)
        yield from map(self.caught, OF_TASKS)

    def caught(self, named: NamedError) -> Journey:
        """A journey on which the state fails with the error until nothing retries it."""
        return self._with_faults(
            self.way_through(named.state), {named.state: [named.error] * (named.retries + 1)}
        )

    def retried(self, named: NamedError) -> tuple[Journey, list[str]]:
        """A journey on which the error is retried, in the company of as many others as one visit of the
        state takes, at every state of that way; and all errors that were raised at this state."""
        way = self.way_through(named.state)
        if named.error == TIMEOUT:
            raised = {other.state: [TIMEOUT] for other in RETRIED if other.error == TIMEOUT}
        else:
            batch = next(n for n, one in enumerate(self._batches[named.state]) if named.error in one)
            raised = {state: found[batch] for state, found in self._batches.items() if len(found) > batch}
        here = {state: errors for state, errors in raised.items() if self.way_through(state) == way}
        return self._with_faults(way, here), here[named.state]

    @cached_property
    def _batches(self) -> dict[str, list[list[str]]]:
        batches: dict[str, list[list[str]]] = {}
        for named in RETRIED:
            of_state = batches.setdefault(named.state, [[]])
            if named.error == TIMEOUT:
                continue
            if len(of_state[-1]) == named.retries:
                of_state.append([])
            of_state[-1].append(named.error)
        return batches

    def _with_faults(self, way: str, errors: dict[str, list[str]]) -> Journey:
        key = (way, json.dumps(errors))
        if key not in self._made:
            faults = self.hub.bench.call_faults
            planned = {
                state: [fault(error, str(STATES[state].definition["Resource"]), faults) for error in named]
                for state, named in errors.items()
            }
            if any(TIMEOUT in named for named in errors.values()):
                self.hub.bench.update(impatient(MACHINE))
            try:
                self._made[key] = self._journeys.take(way, planned)
            finally:
                self.hub.bench.update(MACHINE)
        return self._made[key]


@pytest.fixture(scope="module")
def roads() -> Iterator[Roads]:
    with pytest.MonkeyPatch.context() as patches:
        patches.delenv("AWS_PROFILE", raising=False)
        with RedriveHub(patches, pace=PACE) as hub:
            yield Roads(hub)


@pytest.mark.parametrize("named", RETRIED, ids=str)
def test_every_named_error_is_retried_and_the_redrive_ends_as_it_would_have(
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
    assert (journey.ways, journey.status, journey.error) == (
        undisturbed.ways,
        undisturbed.status,
        undisturbed.error,
    )


@pytest.mark.parametrize("named", OF_TASKS, ids=str)
def test_every_caught_error_leads_where_the_catcher_says_once_no_retry_is_left(
    roads: Roads, named: NamedError
) -> None:
    journey = roads.caught(named)

    assert len(journey.errors[named.state]) >= named.retries + 1
    assert journey.path[journey.path.index(named.state) + 1] == named.target, (journey.path, journey.errors)


@pytest.mark.parametrize("named", FIRST_RETRIED, ids=str)
def test_an_error_that_outlasts_its_retries_is_caught_as_any_other(roads: Roads, named: NamedError) -> None:
    journey = roads.caught(named)

    assert journey.errors[named.state].count(named.error) == named.retries + 1
    [target] = {one.target for one in CAUGHT if (one.state, one.error) == (named.state, "States.ALL")}
    assert journey.path[journey.path.index(named.state) + 1] == target


UNCAUGHT = {
    "States.ALL": "what no state is made for",
    "States.DataLimitExceeded": "more than an execution carries",
}


@pytest.mark.parametrize("caught", [named for named in CAUGHT if named.state == MAP], ids=str)
def test_what_no_state_of_a_queue_catches_ends_the_redrive_by_name(roads: Roads, caught: NamedError) -> None:
    journey = roads.plain(UNCAUGHT[caught.error])

    assert caught.target is not None
    assert Edge(MAP, caught.target) in journey.edges
    assert (journey.status, journey.path[-1]) == ("FAILED", "Redrive Stopped")


@pytest.mark.parametrize("edge", EDGES, ids=str)
def test_every_transition_is_made(roads: Roads, edge: Edge) -> None:
    assert any(edge in journey.edges for journey in roads.every()), f"no way leads along {edge}"
