"""Hundreds of redrives with faults drawn at random, some on each of several hubs."""

from __future__ import annotations

from local.cli.output import counted
from local.soak.episodes import Soak
from local.soak.redrive.episode import live_through
from local.soak.redrive.outcome import Outcome


def redrives() -> Soak[Outcome]:
    """The soak of the redrive workflow."""
    return Soak(
        part="redrive",
        what="redrive",
        ends="redrives",
        runs_of_an_episode=10,
        live=live_through,
        told=lambda outcome: f"{counted(outcome.messages, 'message')}, {outcome.quarantined} in quarantine",
        numbers=("deaths", "messages", "quarantined"),
    )
