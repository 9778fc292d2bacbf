"""Thousands of writes with faults drawn at random, some thousand in each of several episodes."""

from __future__ import annotations

from typing import Any

from local.cli.output import Output
from local.soak.episodes import Soak
from local.soak.streams.episode import Outcome, deployed, living

WRITES, WRITES_OF_AN_EPISODE = 10_000, 2_500


def follow_writes(output: Output, writes: int, seed: int) -> dict[str, Any]:
    """The soak of the change streams: so many writes, all in one hub, episode after episode."""
    with deployed(output) as (account, hub):
        soak = Soak[Outcome](
            part="streams",
            what="write",
            ends="writes",
            runs_of_an_episode=WRITES_OF_AN_EPISODE,
            live=living(account, hub),
            told=lambda outcome: f"{outcome.changes} changes, {outcome.transitions} transitions",
            ended="write",
            numbers=("deaths", "changes", "transitions", "lost"),
        )
        return soak.run(output, writes, seed)
