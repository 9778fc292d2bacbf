"""Hundreds of runs with faults drawn at random, some on each of several hubs."""

from __future__ import annotations

from local.cli.output import counted
from local.soak.episodes import Soak
from local.soak.faults.episode import Outcome, live_through


def exports() -> Soak[Outcome]:
    """The soak of the export workflow."""
    return Soak(
        part="faults",
        what="run",
        ends="executions",
        runs_of_an_episode=20,
        live=live_through,
        told=lambda outcome: f"{counted(outcome.events, 'event')} for {counted(outcome.versions, 'version')}",
        numbers=("deaths", "events", "versions"),
    )
