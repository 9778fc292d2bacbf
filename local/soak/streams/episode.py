"""An episode: one plan in a hub of its own or one that others have used, in weather drawn from the seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from local.account import lifecycle
from local.account.clients import forget_foreign_settings
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.project import Project
from local.cli.sam import local_environment
from local.cli.up import UpOptions, bring_up
from local.demo.streams.plan import draw
from local.demo.streams.work_plan import draw_work
from local.soak.episodes import Outcome as EpisodeOutcome
from local.soak.streams.rough import Rough
from local.soak.streams.weather import Settings

PATIENCE_SECONDS = 60.0
WRITES_OF_AN_UPLOAD, WRITES_OF_A_STATE = 20, 15


@dataclass
class Outcome(EpisodeOutcome):
    """What became of an episode's writes."""

    settings: Settings
    changes: int = 0
    transitions: int = 0
    lost: int = 0


@contextmanager
def deployed(output: Output) -> Iterator[tuple[RunningAccount, DeployedHub]]:
    """The application in an account of its own, which is stopped when the block ends."""
    forget_foreign_settings()
    project = Project()
    with TemporaryDirectory(prefix="healthlake-hub-soak-") as folder:
        state_dir = Path(folder)
        try:
            account = bring_up(project, state_dir, output, UpOptions(port=0))
            name = local_environment(project.samconfig).stack_name
            yield account, DeployedHub(account, name, stack.outputs(account, name))
        finally:
            lifecycle.stop(state_dir)


def living(account: RunningAccount, hub: DeployedHub) -> Callable[[int, int, Callable[[str], None]], Outcome]:
    """What lives through an episode in this hub, given its seed, writes, and whom to tell the progress."""

    def live(seed: int, writes: int, told: Callable[[str], None]) -> Outcome:
        settings = Settings.draw(seed)
        outcome = Outcome(seed, settings)
        plan = draw(seed, writes)
        work = draw_work(seed, writes // WRITES_OF_AN_UPLOAD, writes // WRITES_OF_A_STATE)
        rough = Rough(account, hub, plan, work, PATIENCE_SECONDS)
        count = rough.live(settings, str(seed), told)
        outcome.ends = Counter({write.change or "nothing changed": 0 for write in plan.writes})
        outcome.ends.update(write.change or "nothing changed" for write in plan.writes)
        outcome.changes, outcome.transitions = count.changes, count.transitions
        outcome.lost, outcome.deaths = count.lost, rough.dead
        wrong = [f"{check.name}: {check.numbers}" for check in count.checks() if not check.holds]
        outcome.problems = [*wrong, *count.problems]
        return outcome

    return live
