"""The files of an export: one resource type each, NDJSON, cut at a size, stored under the job's prefix."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import msgspec

from local.healthlake.errors import FhirError
from local.healthlake.export_jobs import ExportedFile, ExportJob, ExportRequest
from local.healthlake.faults import FailedResource
from local.healthlake.http_types import outcome_document
from local.healthlake.resource_types import PATIENT_COMPARTMENT
from local.healthlake.store import Filter, Snapshot

PutObject = Callable[[str, str, bytes, str], None]

_PATIENT_REFERENCE = re.compile(rb'"reference"\s*:\s*"(?:[^"]*/)?Patient/([A-Za-z0-9\-.]{1,64})')


class CancelledError(Exception):
    """The job was cancelled while its files were being written."""


@dataclass(frozen=True)
class FileWriter:
    """Writes a job's files: `put` stores an object as a role, `size` cuts files (bytes)."""

    put: PutObject
    size: int

    def write(
        self, job: ExportJob, snapshot: Snapshot, cancelled: Callable[[], bool]
    ) -> tuple[list[ExportedFile], list[ExportedFile]]:
        """Store the job's output and error files; CancelledError when told to stop between two files."""
        left_out = {(failed.resource_type, failed.resource_id) for failed in job.faults.failed_resources}
        rows = (
            (resource_type, text)
            for resource_type, resource_id, text in select_rows(job.request, snapshot)
            if (resource_type, resource_id) not in left_out
        )
        output = []
        for resource_type, group in groupby(rows, key=lambda row: row[0]):
            for number, body in enumerate(_chunks((text for _, text in group), self.size)):
                if cancelled():
                    raise CancelledError
                output.append(self._store(job, resource_type, number, body))
        outcomes = [_outcome(failed) for failed in job.faults.failed_resources]
        errors = [
            self._store(job, "OperationOutcome", number, body)
            for number, body in enumerate(_chunks(outcomes, self.size))
        ]
        return output, errors

    def _store(self, job: ExportJob, resource_type: str, number: int, body: bytes) -> ExportedFile:
        shard = zlib.crc32(f"{job.job_id}/{resource_type}".encode())
        name = f"{resource_type}-{shard}-{len(job.request.types)}-{number}.ndjson"
        url = f"{job.output_uri}{resource_type}/{name}"
        bucket, _, key = url.removeprefix("s3://").partition("/")
        self.put(bucket, key, body, job.request.role_arn)
        return ExportedFile(resource_type, url)


def select_rows(request: ExportRequest, snapshot: Snapshot) -> Iterator[tuple[str, str, bytes]]:
    """(type, id, text) of what the request covers, ordered by type.

    _since is "on or after" and takes resources without lastUpdated in; _until is "on or before" and leaves
    them out (AWS HealthLake Developer Guide, "Exporting HealthLake data with FHIR $export").
    """
    times = []
    if request.since is not None:
        times.append((">=", request.since))
    if request.until is not None:
        times.append(("<=", request.until))
    types: Iterable[str] = request.types
    if request.scope != "System":
        types = [t for t in (request.types or sorted(PATIENT_COMPARTMENT)) if t in PATIENT_COMPARTMENT]
        if not types:
            return
    rows = snapshot.rows(Filter(tuple(types), None, times, include_unstamped=request.until is None))
    if request.scope == "System":
        yield from rows
        return
    members = None if request.scope == "Patient" else group_members(snapshot, request.scope)
    for resource_type, resource_id, text in rows:
        patients = {resource_id} if resource_type == "Patient" else patients_named(text)
        if patients and (members is None or patients & members):
            yield resource_type, resource_id, text


def patients_named(text: bytes) -> set[str]:
    """Ids of the patients that a resource refers to."""
    return {found.decode() for found in _PATIENT_REFERENCE.findall(text)}


def group_members(snapshot: Snapshot, scope: str) -> set[str]:
    """Ids of the patients in Group/{id}; FhirError 404 when the group is gone."""
    group = snapshot.read("Group", scope.removeprefix("Group/"))
    if group is None or group.deleted:
        raise FhirError(404, "not-found", "The Group was not found.")
    return patients_named(group.text)


def _chunks(texts: Iterable[bytes], size: int) -> Iterator[bytes]:
    lines: list[bytes] = []
    length = 0
    for text in texts:
        if lines and length + len(text) + 1 > size:
            yield b"\n".join(lines) + b"\n"
            lines, length = [], 0
        lines.append(text)
        length += len(text) + 1
    if lines:
        yield b"\n".join(lines) + b"\n"


def _outcome(failed: FailedResource) -> bytes:
    document = outcome_document("error", "exception", failed.diagnostics)
    document["issue"][0]["expression"] = [f"{failed.resource_type}/{failed.resource_id}"]
    return msgspec.json.encode(document)
