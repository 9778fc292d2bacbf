"""EventBridge events of jobs and datastores.

AWS HealthLake Developer Guide, "Monitoring HealthLake events using Amazon EventBridge"; Amazon EventBridge
events reference, "AWS HealthLake events" (which adds the Queued events). Cancellations send none.
"""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable
from typing import Any

from local.healthlake.catalog import Datastore
from local.healthlake.clock import from_ms, iso_ms
from local.healthlake.export_jobs import ExportJob
from local.healthlake.faults import Faults

logger = logging.getLogger(__name__)

Event = dict[str, Any]
DeliverEvent = Callable[[Event], None]

_JOB_STATES = {
    "SUBMITTED": "Submitted",
    "QUEUED": "Queued",
    "IN_PROGRESS": "In Progress",
    "COMPLETED": "Completed",
    "COMPLETED_WITH_ERRORS": "Completed With Errors",
    "FAILED": "Failed",
}
_ATTEMPTS = 3


def event_of(detail_type: str, datastore: Datastore, time: int, detail: Event) -> Event:
    """An event as a rule's target receives it."""
    region, account = datastore.arn.split(":")[3:5]
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": "aws.healthlake",
        "account": account,
        "time": f"{from_ms(time):%Y-%m-%dT%H:%M:%SZ}",
        "region": region,
        "resources": [datastore.arn],
        "detail": detail,
    }


def datastore_event(detail_type: str, datastore: Datastore, time: int) -> Event:
    """Data Store Creating, Active, Deleting or Deleted."""
    detail = {
        "datastoreId": datastore.datastore_id,
        "datastoreName": datastore.name or "",
        "datastoreTypeVersion": "R4",
        "datastoreEndpoint": datastore.endpoint,
    }
    return event_of(detail_type, datastore, time, detail)


def export_event(job: ExportJob, datastore: Datastore, time: int) -> Event | None:
    """The event of the job's present state, or None for a state without one."""
    state = _JOB_STATES.get(job.status)
    if state is None:
        return None
    detail = {
        "jobId": job.job_id,
        "submitTime": iso_ms(job.submitted),
        "datastoreId": datastore.datastore_id,
        "outputDataConfig": {"s3Uri": job.request.s3_uri},
    }
    return event_of(f"Export Job {state}", datastore, time, detail)


def import_event(
    job_id: str, status: str, submitted: int, s3_uri: str, datastore: Datastore, time: int
) -> Event:
    """The event of an import job's state."""
    detail = {
        "jobId": job_id,
        "submitTime": iso_ms(submitted),
        "datastoreId": datastore.datastore_id,
        "inputDataConfig": {"s3Uri": s3_uri},
    }
    return event_of(f"Import Job {_JOB_STATES[status]}", datastore, time, detail)


class EventOutbox:
    """Events in the order they happened, delivered one at a time outside every other lock.

    In the `background` a thread delivers them; otherwise `flush` does, in the caller's thread.
    """

    def __init__(self, deliver: DeliverEvent, faults: Faults, *, background: bool) -> None:
        self._deliver = deliver
        self._faults = faults
        self._waiting: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._delivering = threading.RLock()
        self._thread = threading.Thread(target=self._run, name="healthlake-events", daemon=True)
        self._background = background
        if background:
            self._thread.start()

    def add(self, event: Event | None) -> None:
        """Put an event in line; None is nothing."""
        if event is not None:
            self._waiting.put(event)

    def flush(self) -> None:
        """Deliver what waits now, unless the background does."""
        if self._background:
            return
        with self._delivering:
            while not self._waiting.empty():
                self._send(self._waiting.get())

    def close(self) -> None:
        """Deliver what waits, then end."""
        if self._background:
            self._waiting.put(None)
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while (event := self._waiting.get()) is not None:
            self._send(event)

    def _send(self, event: Event | None) -> None:
        """Deliver one event; it is tried three times, and a fault can lose it."""
        if event is None or self._faults.drops_event(event["detail-type"]):
            return
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._deliver(event)
            except Exception as error:  # whatever a subscriber does must not stop the jobs
                logger.warning(
                    "event %s: attempt %d failed with %s", event["detail-type"], attempt, type(error).__name__
                )
            else:
                return
