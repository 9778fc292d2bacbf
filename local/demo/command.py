"""`demo`: a fresh account with the application in it, two runs of the export workflow, a redrive, the sums
checked."""

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local.account import lifecycle, signals, state_file
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.errors import CommandError
from local.cli.export import run_export, show_run
from local.cli.fhir_client import FhirClient
from local.cli.lake.athena import Athena
from local.cli.load import load_files, show_refusals
from local.cli.ndjson_files import ndjson_files
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.cli.project import Project, command_line
from local.cli.sam import local_environment
from local.cli.up import UpOptions, bring_up
from local.demo.bus_subscriber import BusSubscriber
from local.demo.changes import make_changes
from local.demo.lake_count import count_lake
from local.demo.redrive import show_redrive
from local.demo.report import Report
from local.demo.streams.lake_rows import joined_patients
from local.demo.streams.part import show_streams
from local.sample_data.generator import write_sample

# How long the bus may bring nothing before what is missing counts as lost.
SILENCE_SECONDS = 20.0


def demo(project: Project, output: Output, data: Path | None) -> int:
    """Run the demo in an account of its own, which is stopped in the end; 1 when a sum does not add up."""
    # the report of an earlier demo must not be taken for this one's, whatever this one ends with
    project.demo_report.unlink(missing_ok=True)
    files = ndjson_files([data]) if data is not None else []
    try:
        with state_file.lock(project.demo_lock, wait=False), _own_account(project) as state_dir:
            report = _run(project, state_dir, output, files)
    except state_file.Locked:
        raise CommandError(
            "Another demo runs in this folder.",
            "Wait for its end, or copy the repository: copies run side by side.",
        ) from None
    state_file.write_json(project.demo_report, report.document())
    return _conclude(project, report, output)


@contextmanager
def _own_account(project: Project) -> Iterator[Path]:
    """An empty state directory, whose account is stopped when the block ends, however it ends."""
    state_dir = project.demo_dir
    lifecycle.stop(state_dir)
    shutil.rmtree(state_dir, ignore_errors=True)
    try:
        yield state_dir
    finally:
        # whatever else is sent must not leave the account behind
        with signals.ignored():
            lifecycle.stop(state_dir)


def _run(project: Project, state_dir: Path, output: Output, files: Sequence[Path]) -> Report:
    account = bring_up(project, state_dir, output, UpOptions())
    outputs = stack.outputs(account, local_environment(project.samconfig).stack_name)
    files = files or _sample(state_dir, output)
    report = Report()
    hub = DeployedHub(account, local_environment(project.samconfig).stack_name, outputs)
    with BusSubscriber(account, outputs["EventBusName"]) as subscriber:
        loaded = load_files(account, outputs["DatastoreEndpoint"], files, output)
        show_refusals(loaded, output)
        if not loaded.accepted:
            raise CommandError("HealthLake accepted none of the resources.", "See the reasons above.")
        report.loaded, report.rejected = len(loaded.accepted), len(loaded.refused)

        output.line()
        output.line("Full export: everything, published as snapshots", style="bold")
        _export(account, outputs, {"full": True}, output, subscriber, report)

        output.line()
        output.line(
            "Change streams: from writes to tables to events, lake, HealthLake and workers", style="bold"
        )
        report.streams, written = show_streams(account, hub, output)

        output.line()
        output.line("Incremental export: exactly what is changed now", style="bold")
        with output.step("Create and update resources through the FHIR API") as step:
            changed = make_changes(FhirClient(account, outputs["DatastoreEndpoint"]), loaded.accepted)
            step.result = f"{len(changed):,} resources, one of them twice"
        report.changed = len(changed | written)
        _export(account, outputs, {}, output, subscriber, report)

        report.queue_drained = subscriber.wait_until_empty(SILENCE_SECONDS)
        report.events_on_bus = subscriber.count.events
        report.distinct_event_ids = subscriber.count.distinct_ids
    _ask_the_lake(Athena.of(hub), written, output, report)

    output.line()
    output.line("Redrive: dead letters find their way back, and poison goes to quarantine", style="bold")
    report.redrive = show_redrive(account, hub, output)
    return report


def _ask_the_lake(athena: Athena, written: Collection[str], output: Output, report: Report) -> None:
    """Count what is in the lake, and what is there as record and as the resource (type/id) that it became."""
    with output.step("Count the lake with SQL") as step:
        report.lake = count_lake(athena)
        step.result = f"{report.lake.latest:,} resources in their current version"
    with output.step("Join records with the resources that they became and that were exported") as step:
        report.patients = sum(name.startswith("Patient/") for name in written)
        report.joined = joined_patients(athena)
        step.result = f"{report.joined:,} of {report.patients:,} patients"


def _sample(state_dir: Path, output: Output) -> list[Path]:
    folder = state_dir / "sample"
    with output.step("Generate synthetic FHIR resources") as step:
        step.result = f"{write_sample(folder):,} resources"
    return ndjson_files([folder])


def _export(
    account: RunningAccount,
    outputs: Mapping[str, str],
    document: Mapping[str, Any],
    output: Output,
    subscriber: BusSubscriber,
    report: Report,
) -> None:
    """Run an export to its end, and wait until its events have come through the bus."""
    run = run_export(account, outputs, document, output)
    if not run.completed:
        show_run(run, output)
        raise CommandError(
            f"The run did not complete: {run.finished.error or run.finished.output.get('status')}",
            f"The account's log is {account.log_file}",
        )
    with output.step("Count its events at the bus") as step:
        published = int(run.finished.output["published"])
        seen = subscriber.wait_for(run.finished.run_id, published, SILENCE_SECONDS)
        step.result = f"{seen:,} of {published:,} published"
    report.add_run(run, seen)


def _conclude(project: Project, report: Report, output: Output) -> int:
    """Show the result; 0 when everything adds up."""
    output.line()
    output.fields(
        {
            "resources loaded": report.loaded,
            "input lines rejected": report.rejected,
            "resources changed before the second run": report.changed,
        }
    )
    output.line()
    output.table("Two runs of the export workflow", ("", "full", "incremental"), report.rows())
    output.line()
    counts = report.redrive.document()
    output.table("Messages of a consumer that was broken", tuple(counts), [tuple(counts.values())])
    output.line()
    streams = report.streams.document()
    output.table("Changes of records, uploads and jobs", tuple(streams), [tuple(streams.values())])
    output.line()
    checks = report.checks()
    for check in checks:
        (output.good if check.holds else output.bad)(f"{check.name}: {check.numbers}")
    output.line()
    adds_up = all(check.holds for check in checks)
    output.line(
        "Everything adds up." if adds_up else "It does not add up.",
        style="bold green" if adds_up else "bold red",
    )
    output.line(f"The numbers are in {_relative(project, project.demo_report)}; nothing is left running.")
    output.line(f"To keep an account up and look around: make up, then `{command_line()} --help`.")
    output.document(report.document() | {"addsUp": adds_up})
    return 0 if adds_up else 1


def _relative(project: Project, path: Path) -> Path:
    return path.relative_to(project.root) if path.is_relative_to(project.root) else path
