"""Import jobs: every *.ndjson object under an S3 prefix into a datastore.

AWS HealthLake Developer Guide, "Importing FHIR data with AWS HealthLake": resources keep their ids, a log of
what failed goes to the output location, and some failures end the job COMPLETED_WITH_ERRORS.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import msgspec

from local.healthlake.catalog import Catalog
from local.healthlake.clock import Clock
from local.healthlake.errors import FhirError, invalid
from local.healthlake.job_events import EventOutbox, import_event
from local.healthlake.resource_text import parse_resource
from local.healthlake.store import Writer

logger = logging.getLogger(__name__)

KIND = "import"
_FINAL = frozenset({"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED"})


class ObjectReader(Protocol):
    """Reads S3 with the credentials of a role."""

    def list_keys(self, bucket: str, prefix: str, role_arn: str) -> Iterable[str]:
        """Keys under a prefix."""

    def get(self, bucket: str, key: str, role_arn: str) -> bytes:
        """An object's bytes."""


@dataclass(frozen=True)
class ImportRequest:
    """What to import, and where its log goes."""

    datastore_id: str
    input_uri: str
    output: dict[str, str]
    role_arn: str
    job_name: str | None = None
    client_token: str | None = None


@dataclass(frozen=True)
class ImportJob:
    """A job at one moment; `progress` holds members of JobProgressReport."""

    job_id: str
    request: ImportRequest
    submitted: int
    status: str = "SUBMITTED"
    ended: int | None = None
    message: str | None = None
    progress: dict[str, float] = field(default_factory=dict)

    def properties(self) -> dict[str, Any]:
        """ImportJobProperties of the API reference."""
        described = {
            "JobId": self.job_id,
            "JobName": self.request.job_name,
            "JobStatus": self.status,
            "SubmitTime": self.submitted / 1000,
            "EndTime": self.ended / 1000 if self.ended is not None else None,
            "DatastoreId": self.request.datastore_id,
            "InputDataConfig": {"S3Uri": self.request.input_uri},
            "JobOutputDataConfig": {"S3Configuration": self.request.output},
            "JobProgressReport": self.progress or None,
            "DataAccessRoleArn": self.request.role_arn,
            "Message": self.message,
        }
        return {name: value for name, value in described.items() if value is not None}


class ImportJobs:
    """The account's import jobs; each runs at once in a thread of its own, or inside `step`."""

    def __init__(
        self,
        catalog: Catalog,
        clock: Clock,
        outbox: EventOutbox,
        reader: ObjectReader,
        put: Callable[[str, str, bytes, str], None],
        new_id: Callable[[], str],
        *,
        threaded: bool,
    ) -> None:
        self._catalog = catalog
        self._clock = clock
        self._outbox = outbox
        self._reader = reader
        self._put_object = put
        self._new_id = new_id
        self._threaded = threaded
        self._changed = threading.Condition()
        saved = [msgspec.json.decode(document, type=ImportJob) for document in catalog.saved_jobs(KIND)]
        self._jobs = {job.job_id: job for job in saved}
        for job in saved:
            if job.status not in _FINAL:
                self._start(job.job_id)

    def submit(self, request: ImportRequest) -> ImportJob:
        """Take a job in; a repeated client token answers with the job it started."""
        with self._changed:
            for earlier in self._jobs.values():
                if request.client_token is not None and earlier.request.client_token == request.client_token:
                    return earlier
            job = ImportJob(self._new_id(), request, self._clock.now_ms())
            self._keep(job)
        self._start(job.job_id)
        return job

    def jobs(self, datastore_id: str) -> list[ImportJob]:
        """The datastore's jobs in order of submission."""
        with self._changed:
            return [job for job in self._jobs.values() if job.request.datastore_id == datastore_id]

    def wait_for(self, job_id: str, timeout: float = 30.0) -> ImportJob:
        """Block until the job has ended; TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._jobs[job_id].status in _FINAL, timeout):
                raise TimeoutError(f"import job is {self._jobs[job_id].status} after {timeout} s")
            return self._jobs[job_id]

    def step(self) -> None:
        """Run every job that waits."""
        for job in list(self._jobs.values()):
            if job.status not in _FINAL:
                self._run(job.job_id)

    def forget(self) -> None:
        """Drop all jobs."""
        with self._changed:
            self._jobs.clear()
            self._changed.notify_all()

    def _start(self, job_id: str) -> None:
        if self._threaded:
            threading.Thread(target=self._run, args=(job_id,), name="healthlake-import", daemon=True).start()
        else:
            self._outbox.flush()

    def _run(self, job_id: str) -> None:
        job = self._change(self._jobs[job_id], status="IN_PROGRESS")
        try:
            progress, failures = self._import(job)
        except Exception as error:  # an unreadable bucket or a deleted datastore ends the job, not the thread
            logger.warning("import job %s failed with %s", job_id, type(error).__name__)
            self._change(job, status="FAILED", message=f"The import failed ({type(error).__name__}).")
            return
        if failures:
            bucket, _, prefix = job.request.output["S3Uri"].removeprefix("s3://").partition("/")
            folder = f"{job.request.datastore_id}-FHIR_IMPORT-{job_id}"
            key = "/".join(filter(None, [prefix.strip("/"), folder, "FAILURE", "failures.ndjson"]))
            self._put_object(bucket, key, b"".join(failures), job.request.role_arn)
        status = "COMPLETED_WITH_ERRORS" if failures else "COMPLETED"
        self._change(job, status=status, progress=progress)

    def _import(self, job: ImportJob) -> tuple[dict[str, float], list[bytes]]:
        store = self._catalog.store(job.request.datastore_id)
        bucket, _, prefix = job.request.input_uri.removeprefix("s3://").partition("/")
        keys = [
            k for k in self._reader.list_keys(bucket, prefix, job.request.role_arn) if k.endswith(".ndjson")
        ]
        failures: list[bytes] = []
        scanned = size = 0
        for key in keys:
            body = self._reader.get(bucket, key, job.request.role_arn)
            size += len(body)
            with store.writing() as writer:
                for number, line in enumerate(body.split(b"\n"), 1):
                    if line.strip():
                        scanned += 1
                        failures += _import_line(writer, line, key, number)
        progress = {
            "TotalNumberOfScannedFiles": len(keys),
            "TotalSizeOfScannedFilesInMB": round(size / 1e6, 3),
            "TotalNumberOfImportedFiles": len(keys),
            "TotalNumberOfResourcesScanned": scanned,
            "TotalNumberOfResourcesImported": scanned - len(failures),
            "TotalNumberOfResourcesWithCustomerError": len(failures),
        }
        return progress, failures

    def _change(self, job: ImportJob, *, status: str, **changes: Any) -> ImportJob:
        ended = self._clock.now_ms() if status in _FINAL else None
        changed = replace(job, status=status, ended=ended, **changes)
        with self._changed:
            self._keep(changed)
        self._outbox.flush()
        return changed

    def _keep(self, job: ImportJob) -> None:
        self._jobs[job.job_id] = job
        self._catalog.save_job(KIND, job.job_id, msgspec.json.encode(job))
        datastore = self._catalog.get(job.request.datastore_id)
        self._outbox.add(
            import_event(
                job.job_id, job.status, job.submitted, job.request.input_uri, datastore, self._clock.now_ms()
            )
        )
        self._changed.notify_all()


def _import_line(writer: Writer, line: bytes, key: str, number: int) -> list[bytes]:
    try:
        resource = parse_resource(line)
        if resource.resource_id is None:
            raise invalid("The resource has no id.")
        writer.put(resource, resource.resource_id)
    except FhirError as refusal:
        record = {"inputFile": key, "lineNumber": number, "exception": refusal.diagnostics}
        return [msgspec.json.encode(record) + b"\n"]
    return []
