"""`redrive start`: the hub's redrive workflow, started and followed to its end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local.cli.executions import Executions, Finished, StateEntered
from local.cli.export import caller
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.redrive.endings import WORDS, Ending, show_ending
from local.cli.redrive.quarantined import queue_arn, redrive_machine

_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class StartOptions:
    """What to redrive and how; what is left out is for the workflow to decide. Queues are names or ARNs."""

    queue: str | None = None
    mode: str | None = None
    destination: str | None = None
    max_redrives: int | None = None
    rate: int | None = None
    dry_run: bool = False
    wait: bool = True

    def document(self, hub: DeployedHub) -> dict[str, Any]:
        """The state machine's input."""
        wanted = {
            "queueArn": self.queue and queue_arn(hub, self.queue),
            "mode": self.mode,
            "destinationArn": self.destination and queue_arn(hub, self.destination),
            "maxRedrives": self.max_redrives,
            "maxMessagesPerSecond": self.rate,
            "dryRun": self.dry_run,
            "startedBy": caller(hub.account),
        }
        return {name: value for name, value in wanted.items() if value}


def start(hub: DeployedHub, output: Output, options: StartOptions) -> int:
    """Start a redrive and follow it; 1 when it does not succeed. What is wrong with the options the workflow
    says, in its ending."""
    if not options.wait:
        arn = Executions(hub.account, redrive_machine(hub)).start(options.document(hub))
        output.good(f"Started {arn}")
        output.document({"hub": hub.document(), "executionArn": arn})
        return 0
    ending = run_redrive(hub, output, options)
    output.document({"hub": hub.document(), **ending.document()})
    return 0 if ending.good else 1


def run_redrive(hub: DeployedHub, output: Output, options: StartOptions) -> Ending:
    """Start a redrive, follow it, and say how it ended."""
    executions = Executions(hub.account, redrive_machine(hub))
    ending = follow(executions, executions.start(options.document(hub)), output)
    show_ending(ending, output)
    return ending


def follow(
    executions: Executions, arn: str, output: Output, sleep: Callable[[float], None] = time.sleep
) -> Ending:
    """Show the states of an execution until it has ended, each with a line when it is first entered, since a
    redrive goes round and may take hours. The longer nothing new happens, the seldomer it is looked at."""
    seen: list[str] = []
    pause = 0.0
    with output.step(f"Redrive {arn.rpartition(':')[2]}") as step:

        def entered(state: StateEntered) -> None:
            nonlocal pause
            if state.name not in seen:
                output.line(f"  {state.seconds:6.1f} s  {state.name}")
                pause = 0.0
            seen.append(state.name)
            step.progress(state.name)

        def waiting() -> None:
            nonlocal pause
            pause = min(pause + 0.2, _LONGEST_PAUSE)
            sleep(pause)

        finished: Finished = executions.follow(arn, entered, waiting)
        last = seen[-1] if seen else None
        ending = Ending(finished, last if last in WORDS else None)
        step.failed = not ending.good
        step.result = ending.state or finished.status
    return ending
