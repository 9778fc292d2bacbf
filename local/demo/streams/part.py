"""The part of the demo on change streams: writes, uploads and jobs, followed to their ends."""

from __future__ import annotations

from collections.abc import Callable

from local.account.lifecycle import REPOSITORY
from local.account.state_file import RunningAccount
from local.cli.operations.hub import DeployedHub
from local.cli.output import Output
from local.demo.streams.chain import Chain
from local.demo.streams.plan import draw
from local.demo.streams.stream_count import StreamCount
from local.demo.streams.work_plan import draw_work
from local.workers.process import WorkerProcess
from local.workers.settings import worker_settings

SEED, WRITES, UPLOADS, STATES = "demo", 240, 12, 16
PATIENCE_SECONDS = 20.0


def show_streams(account: RunningAccount, hub: DeployedHub, output: Output) -> tuple[StreamCount, set[str]]:
    """Write, follow what comes of it, and count; also returns the resources (type/id) that are in HealthLake
    now because of it."""
    plan, work = draw(SEED, WRITES), draw_work(SEED, UPLOADS, STATES)
    with Chain(account, hub, plan, work, PATIENCE_SECONDS) as chain:
        with output.step(f"Write {WRITES} times to the records table") as step:
            chain.write()
            step.result = f"{len(plan.changes):,} changes, {len(plan.final):,} items in the end"
        with output.step(f"Upload {UPLOADS} files, and write {STATES} states of jobs") as step:
            chain.upload()
            step.result = f"{work.transitions.total():,} transitions to come"
        _step(output, "Changes as events on the bus", chain.wait_for_events, len(plan.changes))
        _step(output, "Changes as rows in the lake", chain.wait_for_rows, len(plan.changes))
        resources = len(chain.resources)
        _step(output, "Items as FHIR resources in HealthLake", chain.wait_for_resources, resources)
        settings = worker_settings(account, hub.stack_name, hub.outputs)
        with WorkerProcess(REPOSITORY, settings) as worker:
            _step(output, "Jobs done by a worker", chain.wait_for_jobs, work.jobs)
            worker.drain()
            worker.ended()
        count = chain.count()
        if not count.lost:
            output.line()
            output.fields(chain.example())
        return count, chain.existing()


def _step(output: Output, name: str, wait: Callable[[], int], expected: int) -> None:
    with output.step(name) as step:
        met = wait()
        step.failed = met != expected
        step.result = f"{met:,} of {expected:,}"
