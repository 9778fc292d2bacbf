"""One export job: what was asked for, its states, and how each API describes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local.healthlake.clock import export_status_time, iso_ms
from local.healthlake.faults import JobFaults

SUBMITTED = "SUBMITTED"
QUEUED = "QUEUED"
IN_PROGRESS = "IN_PROGRESS"
COMPLETED = "COMPLETED"
COMPLETED_WITH_ERRORS = "COMPLETED_WITH_ERRORS"
FAILED = "FAILED"
CANCEL_SUBMITTED = "CANCEL_SUBMITTED"
CANCEL_IN_PROGRESS = "CANCEL_IN_PROGRESS"
CANCEL_COMPLETED = "CANCEL_COMPLETED"
CANCEL_FAILED = "CANCEL_FAILED"

FINAL = frozenset({COMPLETED, COMPLETED_WITH_ERRORS, FAILED, CANCEL_COMPLETED, CANCEL_FAILED})
CANCELLABLE = frozenset({SUBMITTED, QUEUED, IN_PROGRESS})


@dataclass(frozen=True)
class ExportRequest:
    """What a client asked to export; times in milliseconds, both bounds inclusive.

    `scope` is System, Patient, or Group/{id}. `url` is the request as the finished job repeats it.
    """

    datastore_id: str
    s3_uri: str
    kms_key_id: str
    role_arn: str
    job_name: str | None = None
    scope: str = "System"
    types: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    url: str = ""
    client_token: str | None = None


@dataclass(frozen=True)
class ExportedFile:
    """A file of a finished job: resource type and s3:// URL."""

    type: str
    url: str


@dataclass(frozen=True)
class ExportJob:
    """A job at one moment; every change makes a new record."""

    job_id: str
    request: ExportRequest
    submitted: int
    status: str = SUBMITTED
    ended: int | None = None
    message: str | None = None
    output: tuple[ExportedFile, ...] = ()
    error: tuple[ExportedFile, ...] = ()
    faults: JobFaults = field(default_factory=JobFaults)

    @property
    def output_uri(self) -> str:
        """Where the files go: <S3Uri>/<datastoreId>-FHIR_EXPORT-<jobId>/."""
        folder = f"{self.request.datastore_id}-FHIR_EXPORT-{self.job_id}"
        return f"{self.request.s3_uri.rstrip('/')}/{folder}/"

    def properties(self) -> dict[str, Any]:
        """ExportJobProperties of the JSON API; times as seconds since the epoch."""
        described = {
            "JobId": self.job_id,
            "JobName": self.request.job_name,
            "JobStatus": self.status,
            "SubmitTime": self.submitted / 1000,
            "EndTime": self.ended / 1000 if self.ended is not None else None,
            "DatastoreId": self.request.datastore_id,
            "OutputDataConfig": {
                "S3Configuration": {"S3Uri": self.output_uri, "KmsKeyId": self.request.kms_key_id}
            },
            "DataAccessRoleArn": self.request.role_arn,
            "Message": self.message,
        }
        return {name: value for name, value in described.items() if value is not None}

    def rest_properties(self) -> dict[str, Any]:
        """exportJobProperties of the FHIR export status; times such as Aug 26, 2023 1:46:56 PM."""
        described = {
            "jobId": self.job_id,
            "jobName": self.request.job_name,
            "jobStatus": self.status,
            "submitTime": export_status_time(self.submitted),
            "endTime": export_status_time(self.ended) if self.ended is not None else None,
            "datastoreId": self.request.datastore_id,
            "outputDataConfig": {
                "s3Configuration": {"s3Uri": self.output_uri, "kmsKeyId": self.request.kms_key_id}
            },
            "dataAccessRoleArn": self.request.role_arn,
            "message": self.message,
        }
        return {name: value for name, value in described.items() if value is not None}

    def status_document(self, now: int) -> dict[str, Any]:
        """The answer to a status request made at `now`.

        transactionTime is the time of this very request: HealthLake was seen to answer so, long after the
        job's end, which is why it must not serve as a watermark.
        """
        return {
            "exportJobProperties": self.rest_properties(),
            "transactionTime": iso_ms(now),
            "request": self.request.url,
            "requiresAccessToken": False,
            "output": [{"type": file.type, "url": file.url} for file in self.output],
            "error": [{"type": file.type, "url": file.url} for file in self.error],
        }


def next_status(job: ExportJob, *, free: bool) -> str | None:
    """The state that follows, or None while the job has to wait; `free` says that its datastore is.

    IN_PROGRESS is left by the work itself, so it has no follower here.
    """
    match job.status:
        case "SUBMITTED":
            return IN_PROGRESS if free else QUEUED
        case "QUEUED":
            return IN_PROGRESS if free else None
        case "CANCEL_SUBMITTED":
            return CANCEL_IN_PROGRESS
        case "CANCEL_IN_PROGRESS":
            return CANCEL_FAILED if job.faults.cancel_fails else CANCEL_COMPLETED
        case _:
            return None
