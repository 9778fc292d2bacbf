"""`worker`: the worker program against the local account, shown line by line."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable

from local.account import lifecycle, signals
from local.cli import stack
from local.cli.errors import CommandError, account_is_down
from local.cli.output import Output, counted
from local.cli.project import Project
from local.cli.sam import local_environment
from local.workers.process import Line, WorkerProcess
from local.workers.settings import worker_settings

_Command = Callable[[Project, Output, argparse.Namespace], int]
_Add = Callable[[str, _Command, str], argparse.ArgumentParser]


def add_worker(add: _Add) -> None:
    """Add the command."""
    command = add(
        "worker", _worker, "Work on jobs of the deployed stack's queue, as an instance of the fleet does."
    )
    command.epilog = (
        "Ctrl-C lets it finish its job or hand it back, then end. "
        "Start it in several terminals for several workers."
    )
    command.add_argument(
        "--until-empty", action="store_true", help="end when the queue has nothing for a second"
    )


def _worker(project: Project, output: Output, options: argparse.Namespace) -> int:
    """Returns 0 when the worker has drained, 1 when it failed."""
    account = lifecycle.find(project.account_dir)
    if account is None:
        raise account_is_down()
    stack_name = local_environment(project.samconfig).stack_name
    settings = worker_settings(account, stack_name, stack.outputs(account, stack_name))
    if options.until_empty:
        settings["UNTIL_EMPTY"] = "1"
    ended: Counter[str] = Counter()

    def heard(line: Line) -> None:
        show(output, line)
        if "outcome" in line:
            ended[str(line["outcome"])] += 1

    with WorkerProcess(project.root, settings, heard) as worker:
        try:
            status = worker.ended(seconds=None)
        except KeyboardInterrupt:
            with signals.ignored():
                worker.drain()
                status = worker.ended()
    output.document({"status": status, "jobs": dict(ended)})
    if status != 0:
        raise CommandError(f"The worker ended with status {status}.")
    output.line(f"The worker has ended after {counted(sum(ended.values()), 'job')}.")
    return 0


def show(output: Output, line: Line) -> None:
    """A line of the worker's log for people; metrics are not shown."""
    match line:
        case {"outcome": outcome, "job": job, "rule": rule, "seconds": seconds}:
            shown = output.bad if outcome == "FAILED" else output.good
            shown(f"{rule} {job}: {outcome} in {seconds} s")
        case {"level": "WARNING" | "ERROR", "message": message}:
            reason = line.get("reason") or line.get("code") or ""
            output.warning(f"{message} {reason}".rstrip())
        case {"message": message}:
            output.line(str(message), style="dim")
