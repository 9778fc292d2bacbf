"""Edges of a state machine as its definition has them."""

from __future__ import annotations

import pytest

from local.testing.state_machine_edges import END, Edge, NamedError, caught_errors, edges, retried_errors

INNER = {"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "End": True}}}
MACHINE = {
    "StartAt": "Try",
    "States": {
        "Try": {
            "Type": "Task",
            "Retry": [
                {"ErrorEquals": ["Busy", "Lost"], "MaxAttempts": 2},
                {"ErrorEquals": ["Never"], "MaxAttempts": 0},
            ],
            "Catch": [
                {"ErrorEquals": ["Busy", "Gone"], "Next": "Failed"},
                {"ErrorEquals": ["States.ALL"], "Next": "Each"},
            ],
            "Next": "Which?",
        },
        "Which?": {
            "Type": "Choice",
            "Choices": [{"Next": "Each"}, {"Next": "Failed"}, {"Next": "Each"}],
            "Default": "Try",
        },
        "Each": {"Type": "Map", "ItemProcessor": INNER, "End": True},
        "Failed": {"Type": "Fail"},
    },
}


def test_transitions_are_those_of_next_rules_default_and_ends_also_inside_a_map() -> None:
    assert edges(MACHINE) == [
        Edge("Try", "Which?"),
        Edge("Which?", "Each"),
        Edge("Which?", "Failed"),
        Edge("Which?", "Try"),
        Edge("Each", END),
        Edge("Inner", END),
        Edge("Failed", END),
    ]


def test_every_error_of_a_retrier_that_retries_is_named() -> None:
    assert retried_errors(MACHINE) == [NamedError("Try", "Busy", 2), NamedError("Try", "Lost", 2)]


def test_every_error_of_a_catcher_is_named_with_the_retries_before_it() -> None:
    assert caught_errors(MACHINE) == [
        NamedError("Try", "Busy", 2, "Failed"),
        NamedError("Try", "Gone", 0, "Failed"),
        NamedError("Try", "States.ALL", 0, "Each"),
    ]


def test_a_kind_of_state_whose_edges_are_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="Both: edges of a state of type Parallel are not known"):
        edges({"States": {"Both": {"Type": "Parallel", "Branches": []}}})
