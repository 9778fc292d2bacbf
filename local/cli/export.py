"""`export`: a run of the export workflow, started and followed to its end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.account import lifecycle
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.errors import account_is_down
from local.cli.executions import Executions, Finished, StateEntered
from local.cli.ledger_progress import LedgerProgress, RangesDone
from local.cli.output import Output
from local.cli.project import Project, command_line
from local.cli.sam import local_environment

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
    "repeated",
    "quarantined",
    "watermark",
)


@dataclass(frozen=True)
class ExportOptions:
    """What to export: everything, some types, a window; and whether to follow the run."""

    full: bool = False
    types: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    wait: bool = True

    def document(self) -> dict[str, Any]:
        """The state machine's input."""
        wanted = {"full": self.full, "types": list(self.types), "since": self.since, "until": self.until}
        return {name: value for name, value in wanted.items() if value}


@dataclass(frozen=True)
class Run:
    """A run that has ended, with the states it took."""

    finished: Finished
    transitions: int

    @property
    def completed(self) -> bool:
        return self.finished.status == "SUCCEEDED" and self.finished.output.get("status") == "COMPLETED"


def export(project: Project, output: Output, options: ExportOptions) -> int:
    """Start an export and follow it; 1 when it does not complete."""
    account = lifecycle.find(project.account_dir)
    if account is None:
        raise account_is_down()
    outputs = stack.outputs(account, local_environment(project.samconfig).stack_name)
    executions = Executions(account, outputs["ExportStateMachineArn"])
    if not options.wait:
        arn = executions.start(options.document())
        output.good(f"Started {arn}; see `{command_line()} status`")
        output.document({"executionArn": arn})
        return 0
    run = run_export(account, outputs, options.document(), output)
    show_run(run, output)
    output.document(run_document(run))
    return 0 if run.completed else 1


def run_export(
    account: RunningAccount, outputs: Mapping[str, str], document: Mapping[str, Any], output: Output
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
        output.bad(f"The run ended {run.finished.status}: {run.finished.error}: {run.finished.cause}")
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
