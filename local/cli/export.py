"""`export`: a run of the export workflow, started and followed to its end."""

import getpass
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from local.cli.accounts import Account, AwsAccount, named
from local.cli.errors import CommandError
from local.cli.executions import Executions, Finished, StateEntered
from local.cli.ledger_progress import LedgerProgress, RangesDone
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.project import command_line

SUMMARY = (
    "runId",
    "status",
    "mode",
    "since",
    "until",
    "jobId",
    "files",
    "ranges",
    "lines",
    "published",
    "batched",
    "repeated",
    "quarantined",
    "withheld",
    "lakeFiles",
    "lakeBytes",
    "exportErrors",
    "held",
    "watermark",
)
# What the workflow takes in `startedBy`.
_LONGEST_NAME = 64
_NOT_IN_A_NAME = re.compile(r"[^\w.@:/ -]", re.ASCII)


@dataclass(frozen=True)
class ExportOptions:
    """What to export: everything, some types, a window; for whom; and whether to follow the run."""

    full: bool = False
    types: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    started_by: str | None = None
    accept_errors: bool = False
    wait: bool = True
    confirmed: bool = False

    def document(self) -> dict[str, Any]:
        """The state machine's input."""
        wanted = {
            "full": self.full,
            "types": list(self.types),
            "since": self.since,
            "until": self.until,
            "startedBy": self.started_by,
            "acceptErrors": self.accept_errors,
        }
        return {name: value for name, value in wanted.items() if value}


@dataclass(frozen=True)
class Run:
    """A run that has ended, with the states it took."""

    finished: Finished
    transitions: int

    @property
    def completed(self) -> bool:
        return self.finished.status == "SUCCEEDED" and self.finished.output.get("status") == "COMPLETED"


def export(hub: DeployedHub, output: Output, options: ExportOptions) -> int:
    """Start an export and follow it; 1 when it does not complete.

    Raises CommandError when a full export of a real account is not confirmed.
    """
    if options.full and isinstance(hub.account, AwsAccount) and not options.confirmed:
        _confirm(hub)
    options = replace(options, started_by=options.started_by or caller(hub.account))
    executions = Executions(hub.account, hub.state_machine_arn)
    if not options.wait:
        arn = executions.start(options.document())
        run_id = arn.rpartition(":")[2]
        output.good(f"Started {arn}; see `{command_line()} run {run_id}`")
        output.document({"hub": hub.document(), "executionArn": arn})
        return 0
    run = run_export(hub.account, hub.outputs, options.document(), output)
    show_run(run, output)
    output.document({"hub": hub.document(), **run_document(run)})
    return 0 if run.completed else 1


def caller(account: Account) -> str:
    """Who starts a run from this command line, as the workflow takes it: the caller's identity in AWS
    without account and partition, or the user of this machine."""
    if isinstance(account, AwsAccount):
        name = account.caller.rpartition(":")[2]
    else:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            name = "command line"
    return _NOT_IN_A_NAME.sub("-", name)[:_LONGEST_NAME]


def _confirm(hub: DeployedHub) -> None:
    what = f"A full export reads every resource of the datastore {hub.datastore_id} of {named(hub.account)}"
    if not sys.stdin.isatty():
        raise CommandError(f"{what}, and nobody is there to confirm it.", "Add --yes if it is meant.")
    print(f"{what}.", file=sys.stderr)
    print("Start it? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was started.")


def run_export(
    account: Account, outputs: Mapping[str, str], document: Mapping[str, Any], output: Output
) -> Run:
    """Start the state machine with the input, show it state by state, and return how it ended."""
    executions = Executions(account, outputs["ExportStateMachineArn"])
    ledger = LedgerProgress(account, outputs["HubTableName"])
    arn = executions.start(document)
    run_id = arn.rpartition(":")[2]
    shown = RangesDone()
    in_map = False
    with output.step(f"Export run {run_id}") as step:

        def entered(state: StateEntered) -> None:
            nonlocal in_map
            # what the map has done comes before the state that follows it
            waiting()
            in_map = state.is_map
            output.line(f"  {state.seconds:6.1f} s  {state.name}")
            step.progress(state.name)

        def waiting() -> None:
            nonlocal shown
            done = ledger.of(run_id) if in_map else shown
            if done != shown:
                output.line(f"            {done}", style="dim")
                shown = done

        finished = executions.follow(arn, entered, waiting)
        step.failed = finished.status != "SUCCEEDED"
        step.result = str(finished.output.get("status") or finished.error or finished.status)
    return Run(finished, executions.transitions(arn))


def show_run(run: Run, output: Output) -> None:
    """The run's summary, or why it failed."""
    if run.finished.status != "SUCCEEDED":
        ending = (run.finished.status, run.finished.error, run.finished.cause)
        output.bad(f"The run ended {': '.join(part for part in ending if part)}")
        return
    document = run_document(run)
    output.fields(
        {name: document[name] for name in (*SUMMARY, "seconds", "stateTransitions") if name in document}
    )


def run_document(run: Run) -> dict[str, Any]:
    """What the run returned, with its duration and the states it took."""
    failure = {"error": run.finished.error, "cause": run.finished.cause} if run.finished.error else {}
    known = {name: run.finished.output[name] for name in SUMMARY if name in run.finished.output}
    return {
        "runId": run.finished.run_id,
        "status": run.finished.status,
        **known,
        **failure,
        "seconds": round(run.finished.seconds, 1),
        "stateTransitions": run.transitions,
    }
