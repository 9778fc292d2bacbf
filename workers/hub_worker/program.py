"""The program: settings in, one worker with its threads, and the exit status."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from types import FrameType

from hub_worker.aws import Clients, make_clients
from hub_worker.commits import Commits
from hub_worker.drain import Drain
from hub_worker.errors import InvalidSetting
from hub_worker.health import Health, feed_watchdog, serve, tell_systemd
from hub_worker.instance_metadata import UNREACHABLE, InstanceMetadata
from hub_worker.jobs import JOBS
from hub_worker.jobs_queue import JobsQueue
from hub_worker.logs import Log
from hub_worker.loop import Worker
from hub_worker.metrics import Metrics
from hub_worker.notices import NoticeWatcher
from hub_worker.settings import Settings, read_settings

MISCONFIGURED = 78
"""EX_CONFIG of sysexits.h: starting again does not help."""


def main(variables: Mapping[str, str] = os.environ) -> int:
    """Run a worker until it drains; returns its exit status, 0 after a drain."""
    try:
        settings = read_settings(variables)
    except InvalidSetting as error:
        print(error, file=sys.stderr)  # noqa: T201 - nothing else is there yet
        return MISCONFIGURED
    metadata = InstanceMetadata(settings.metadata_endpoint) if settings.metadata_endpoint else None
    name = _name(metadata)
    log = Log(settings.stack_name, name)
    drain = Drain()
    worker = _worker(settings, make_clients(), drain, log, name)
    _drain_on_signals(settings, drain)
    if metadata:
        watcher = NoticeWatcher(metadata, drain, settings.drain, settings.metadata_interval, log)
        threading.Thread(target=watcher.watch, name="notices", daemon=True).start()
    server = serve(worker.health, settings.health_port)
    stop = threading.Event()
    threading.Thread(
        target=feed_watchdog, args=(worker.health, stop, variables), name="watchdog", daemon=True
    ).start()
    log.info("The worker is ready.", port=server.server_address[1])
    tell_systemd("READY=1", variables)
    try:
        worker.run()
    finally:
        stop.set()
        tell_systemd("STOPPING=1", variables)
        server.shutdown()
        server.server_close()
    log.info("The worker has ended.", reason=drain.reason or "queue-empty", jobs=worker.health.jobs)
    return 0


def _name(metadata: InstanceMetadata | None) -> str:
    """Who the worker is in logs and job items: its instance, or host and process."""
    if metadata:
        try:
            return metadata.instance_id()
        except UNREACHABLE:
            pass
    return f"{socket.gethostname()}:{os.getpid()}"


def _worker(settings: Settings, clients: Clients, drain: Drain, log: Log, name: str) -> Worker:
    queue = JobsQueue(clients.sqs, settings.queue_url, settings.visibility, settings.wait, settings.retry)
    return Worker(
        queue=queue,
        commits=Commits(clients.dynamodb, settings.jobs_table, name),
        s3=clients.s3,
        jobs=JOBS,
        drain=drain,
        health=Health(settings.stuck),
        metrics=Metrics(settings.stack_name, log.document),
        log=log,
        max_job=settings.max_job,
        until_empty=settings.until_empty,
    )


def _drain_on_signals(settings: Settings, drain: Drain) -> None:
    def drain_now(number: int, _frame: FrameType | None) -> None:
        drain.ask(signal.Signals(number).name, settings.drain)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, drain_now)
