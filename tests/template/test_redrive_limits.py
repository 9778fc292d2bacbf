"""A move task of 36 hours fits into one execution, by the definition, as the README says.

Step Functions: «Quotas related to state machine executions» (25,000 events), «HistoryEvent» of the API
Reference. SQS: «StartMessageMoveTask» of the API Reference (36 hours, 500 messages per second).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dlq_redrive.counted_redrive import VISIBILITY_SECONDS

MOST_EVENTS = 25_000
MOST_SECONDS = 36 * 3600
LONGEST_SETTLING = 43_200
MAP = "Redrive Each Queue"

EVENTS: Mapping[str, int] = {
    "Task": 5,  # entered, scheduled, started, succeeded, exited
    "Map": 4,  # entered, started, succeeded, exited
    "Succeed": 2,
    "Choice": 2,
    "Pass": 2,
    "Wait": 2,
}
OF_AN_ITERATION = 2  # started, succeeded
OF_AN_EXECUTION = 2
OF_A_RETRY = 3  # failed, scheduled, started

# Where the way of a redrive of one queue by SQS leaves the first branch of a Choice, or is no first branch.
WAY = {
    "What Is To Be Done?": MAP,
    "Can SQS Move Its Messages?": "Look For A Move Task",
    "Does One Run?": "Remember The Task Before",
    "Where Are They To Go?": "Start The Move Task",
    "How Did The Move Task End?": "Let It Settle",
    "Could More Be Taken?": "Has SQS Moved Any?",
    "Has SQS Moved Any?": "Ask How Many Were Moved",
    "Is It The Task That Moved Them?": "Add What Was Counted Since",
    "What Came Of It?": "Say That They Are On Their Way",
    "How Did It End?": "Redriven",
}


@pytest.fixture
def definition(root: Path) -> dict[str, Any]:
    text = (root / "statemachines" / "dlq_redrive.asl.json").read_text(encoding="utf-8")
    machine: dict[str, Any] = json.loads(text)
    return machine


@pytest.fixture
def limits(root: Path) -> str:
    """What the README says of limits of a redrive, with figures as Python writes them."""
    section = (root / "README.md").read_text(encoding="utf-8").split("\n### Its limits in a redrive", 1)[1]
    return " ".join(re.sub(r"(?<=\d),(?=\d{3})", "", section.split("\n## ", 1)[0]).split())


def _entered(machine: Mapping[str, Any], seconds: int) -> Iterator[Mapping[str, Any]]:
    """The states that a redrive of one queue enters, whose move task takes so long."""
    states, name = machine["States"], machine["StartAt"]
    waited = wait = 0
    while True:
        state = states[name]
        yield state
        if name == MAP:
            yield from _entered(state["ItemProcessor"], seconds)
        if name == "Wait A Little":
            wait = state["Result"]["seconds"]
        elif name == "Wait Longer":
            wait += wait
        elif name == "Wait For The Move Task":
            waited += wait
        if state["Type"] == "Succeed" or state.get("End"):
            return
        name = WAY.get(name) or _next(name, state, wait, over=waited >= seconds)


def _next(name: str, state: Mapping[str, Any], wait: int, *, over: bool) -> str:
    following: str
    if name == "How Is The Move Task?":
        following = state["Choices"][1 if over else 0]["Next"]
    elif name == "Was It A Long Wait?":
        (short,) = state["Choices"]
        following = short["Next"] if wait < short["NumericLessThan"] else state["Default"]
    else:
        following = state["Next"]
    return following


def _events(states: list[Mapping[str, Any]], queues: int = 1) -> int:
    """Events of an execution, of which all but its ends and its map are there for each queue."""
    in_all = [state for state in states if not state.get("of_queue")]
    of_queue = [state for state in states if state.get("of_queue")]
    each = sum(EVENTS[state["Type"]] for state in of_queue) + OF_AN_ITERATION
    return OF_AN_EXECUTION + sum(EVENTS[state["Type"]] for state in in_all) + queues * each


@pytest.fixture
def longest(definition: dict[str, Any]) -> list[Mapping[str, Any]]:
    """The states of a redrive whose move task takes 36 hours."""
    for state in definition["States"][MAP]["ItemProcessor"]["States"].values():
        state["of_queue"] = True
    return list(_entered(definition, MOST_SECONDS))


def _looks(states: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    waits = [place for place, state in enumerate(states) if state.get("SecondsPath") == "$.wait.seconds"]
    return [states[place + 1] for place in waits]


def test_the_way_leads_through_the_definition(definition: dict[str, Any]) -> None:
    inner = definition["States"][MAP]["ItemProcessor"]["States"]
    for name, following in WAY.items():
        state = {**definition["States"], **inner}[name]
        ways = {choice["Next"] for choice in state["Choices"]} | {state["Default"]}
        assert following in ways, name
    how = [choice["Next"] for choice in inner["How Is The Move Task?"]["Choices"]]
    assert how[:2] == ["Was It A Long Wait?", "Keep What It Tells"]


def test_events_and_transitions_of_the_longest_move_task_are_those_of_the_readme(
    longest: list[Mapping[str, Any]], limits: str
) -> None:
    looks = len(_looks(longest))
    said = f"{looks} looks, {len(longest)} state transitions and {_events(longest)} events"
    assert said in limits


def test_the_longest_move_task_stays_within_the_history_though_every_look_is_tried_again(
    longest: list[Mapping[str, Any]], limits: str
) -> None:
    retries = sum(max(retry["MaxAttempts"] for retry in look["Retry"]) for look in _looks(longest))
    events = _events(longest) + retries * OF_A_RETRY
    assert events < MOST_EVENTS
    assert f"{events} events" in limits


def test_so_many_queues_as_the_readme_says_fit_into_one_history(
    longest: list[Mapping[str, Any]], limits: str
) -> None:
    most = max(queues for queues in range(1, 100) if _events(longest, queues) <= MOST_EVENTS)
    words = {3: "Three", 4: "Four", 5: "Five", 6: "Six"}
    assert f"{words[most]} such queues" in limits


def test_a_redrive_has_time_for_the_longest_move_task_and_the_longest_settling(
    definition: dict[str, Any], template: dict[str, Any]
) -> None:
    assert template["Parameters"]["RedriveSettleSeconds"]["MaxValue"] == LONGEST_SETTLING
    assert definition["TimeoutSeconds"] > MOST_SECONDS + LONGEST_SETTLING


def test_calls_that_redrive_one_by_one_fit_into_the_history(definition: dict[str, Any], limits: str) -> None:
    """Each round takes up as many messages as a call does, or what it sends in its time."""
    inner = definition["States"][MAP]["ItemProcessor"]["States"]
    round_of = ("Redrive Messages", "Add Them Up", "Is There More To Redrive?")
    rounds = MOST_EVENTS // sum(EVENTS[inner[name]["Type"]] for name in round_of)
    assert f"some {rounds // 100 * 100} calls" in limits


@pytest.mark.parametrize("wait", ["Wait For What The Call Has Hidden", "Wait For What The Other Has Hidden"])
def test_a_redrive_waits_as_long_as_a_call_that_died_hides_messages(
    definition: dict[str, Any], wait: str
) -> None:
    """A queue in which nothing can be received then holds nothing."""
    state = definition["States"][MAP]["ItemProcessor"]["States"][wait]
    assert state["Seconds"] >= VISIBILITY_SECONDS


def test_deaths_in_a_row_leave_time_for_the_rest(definition: dict[str, Any]) -> None:
    inner = definition["States"][MAP]["ItemProcessor"]["States"]
    too_often, *_ = inner["Did It Die Too Often?"]["Choices"]
    one = (
        inner["Redrive Messages"]["TimeoutSeconds"] + inner["Wait For What A Reader May Still Do"]["Seconds"]
    )
    in_a_row = (too_often["NumericGreaterThan"] + 1) * one
    assert in_a_row + LONGEST_SETTLING < definition["TimeoutSeconds"]
