"""The operator's commands and their options."""

import argparse
from collections.abc import Callable
from pathlib import Path

from local.cli.errors import CommandError
from local.cli.operations.application_code import make_importable
from local.cli.operations.hub import DeployedHub, add_place, find_hub, run_id_in
from local.cli.output import Output
from local.cli.parsing import positive
from local.cli.project import Project

_Command = Callable[[Project, Output, argparse.Namespace], int]
_Add = Callable[[str, _Command, str], argparse.ArgumentParser]

RECENT = 20
_QUARANTINE_USAGE = """what to look at:
  quarantine                       records of each run, counted by reason
  quarantine RUN                   the records of a run: reason, file, offset, length; never content
  quarantine show KEY              the content of an object under quarantine/ (PHI), or one --record of it
  quarantine save RUN FOLDER       the objects of a run into a folder (PHI)
"""


def add_operations(add: _Add) -> None:
    """Add the commands that look at runs, ledger, quarantine and state of a deployed hub."""
    command = add("runs", _runs, "Show recent runs, newest first.")
    command.add_argument("--limit", type=positive, default=RECENT, help="how many (%(default)s)")
    command.add_argument("--failed", action="store_true", help="only those that failed")
    add_place(command)
    command = add("run", _run, "Show one run: window, counts, what failed, ledger by file, quarantine.")
    command.add_argument("run", help="run id, or ARN of its execution")
    add_place(command)
    command = add("ledger", _ledger, "Show what became of each byte range of a run, or prove it again.")
    command.add_argument("run", help="run id, or ARN of its execution")
    command.add_argument("--range", type=int, metavar="N", help="only this byte range")
    command.add_argument("--verify", action="store_true", help="reconcile the run again from what it left")
    command.add_argument("--read", action="store_true", help="with --verify: count the exported lines again")
    add_place(command)
    command = add("quarantine", _quarantine, "Show what could not be processed, and why.")
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = _QUARANTINE_USAGE
    command.add_argument("what", nargs="*", metavar="WHAT", help="see below")
    command.add_argument("--record", type=positive, metavar="N", help="with show: only this record")
    command.add_argument("--limit", type=positive, default=RECENT, help="runs counted (%(default)s)")
    add_place(command)
    add_place(add("state", _state, "Show run lock, watermark, holds and outbox of the datastore."))
    add_place(add("resume", _resume, "Let the schedule start exports again after a pause."))
    command = add(
        "variables", _variables, "Write the functions' variables for `sam local invoke --env-vars`."
    )
    add_place(command)


def _hub(project: Project, output: Output, options: argparse.Namespace) -> DeployedHub:
    make_importable()
    return find_hub(project, output, options)


def _runs(project: Project, output: Output, options: argparse.Namespace) -> int:
    hub = _hub(project, output, options)
    from local.cli.operations.runs import runs

    return runs(hub, output, limit=options.limit, failed=options.failed)


def _run(project: Project, output: Output, options: argparse.Namespace) -> int:
    run_id = run_id_in(options.run)
    hub = _hub(project, output, options)
    from local.cli.operations.run import run

    return run(hub, output, run_id)


def _ledger(project: Project, output: Output, options: argparse.Namespace) -> int:
    run_id = run_id_in(options.run)
    if options.verify and options.range is not None:
        raise CommandError("--verify proves the whole run.", "Leave out --range.")
    if options.read and not options.verify:
        raise CommandError("--read belongs to --verify.", "Add --verify.")
    hub = _hub(project, output, options)
    from local.cli.operations.ledger import ledger, verify

    if options.verify:
        return verify(hub, output, run_id, read=options.read)
    return ledger(hub, output, run_id, options.range)


def _quarantine(project: Project, output: Output, options: argparse.Namespace) -> int:
    what: list[str] = options.what
    if options.record is not None and what[:1] != ["show"]:
        raise CommandError("--record belongs to `quarantine show`.", _QUARANTINE_USAGE)
    make_importable()
    from local.cli.operations import quarantine

    match what:
        case []:
            return quarantine.overview(_hub(project, output, options), output, options.limit)
        case ["show", key]:
            return quarantine.show(_hub(project, output, options), output, key, options.record)
        case ["save", run, folder]:
            run_id = run_id_in(run)
            return quarantine.save(_hub(project, output, options), output, run_id, Path(folder))
        case [run] if run not in ("show", "save"):
            run_id = run_id_in(run)
            return quarantine.of_run(_hub(project, output, options), output, run_id)
        case _:
            raise CommandError("`quarantine` does not know what to look at.", _QUARANTINE_USAGE)


def _state(project: Project, output: Output, options: argparse.Namespace) -> int:
    hub = _hub(project, output, options)
    from local.cli.operations.state import state

    return state(hub, output)


def _resume(project: Project, output: Output, options: argparse.Namespace) -> int:
    hub = _hub(project, output, options)
    from local.cli.operations.state import resume

    return resume(hub, output)


def _variables(project: Project, _output: Output, options: argparse.Namespace) -> int:
    from local.cli.operations.variables import variables

    document_only = Output(as_json=True)
    return variables(find_hub(project, document_only, options), document_only)
