"""What an export job does while it is IN_PROGRESS: from the snapshot it begins with to how it ends.

AWS HealthLake Developer Guide, "Exporting FHIR data with AWS HealthLake": the output, and the status
COMPLETED_WITH_ERRORS for a job that could not export some resources.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from local.healthlake.catalog import Catalog
from local.healthlake.errors import ApiError, FhirError
from local.healthlake.export_files import CancelledError, FileWriter
from local.healthlake.export_jobs import COMPLETED, COMPLETED_WITH_ERRORS, FAILED, ExportJob
from local.healthlake.store import Snapshot

logger = logging.getLogger(__name__)


class ExportWork:
    """The work of the jobs that have begun, and the snapshots they export from."""

    def __init__(self, catalog: Catalog, writer: FileWriter) -> None:
        self._catalog = catalog
        self._writer = writer
        self._snapshots: dict[str, Snapshot] = {}

    def begin(self, job: ExportJob) -> Snapshot:
        """Take the job's snapshot: it exports what is current now, whatever is written while it runs."""
        snapshot = self._catalog.store(job.request.datastore_id).snapshot()
        self._snapshots[job.job_id] = snapshot
        return snapshot

    def outcome(self, job: ExportJob, is_cancelled: Callable[[], bool]) -> ExportJob:
        """Do the work and return the job as it ends; unchanged when it was cancelled meanwhile."""
        if job.faults.fail_message is not None:
            return replace(job, status=FAILED, message=job.faults.fail_message)
        try:
            # without a snapshot the process was restarted while the job ran
            snapshot = self._snapshots.get(job.job_id) or self.begin(job)
            output, errors = self._writer.write(job, snapshot, is_cancelled)
        except CancelledError:
            return job
        except (ApiError, FhirError) as refusal:
            return replace(job, status=FAILED, message=str(refusal))
        except Exception as error:  # what S3 refuses ends the job, as on AWS, and not the worker
            logger.warning("export job %s failed with %s", job.job_id, type(error).__name__)
            return replace(job, status=FAILED, message=_storage_failure(error))
        status = COMPLETED_WITH_ERRORS if errors else COMPLETED
        return replace(job, status=status, output=tuple(output), error=tuple(errors))

    def end(self, job_id: str) -> None:
        """Let the job's snapshot go, if it has one."""
        snapshot = self._snapshots.pop(job_id, None)
        if snapshot is not None:
            snapshot.close()

    def end_all(self) -> None:
        """Let every snapshot go."""
        for job_id in list(self._snapshots):
            self.end(job_id)


def _storage_failure(error: Exception) -> str:
    response = getattr(error, "response", None)
    refusal = response.get("Error", {}) if isinstance(response, dict) else {}
    sentence = (
        f"The output could not be written to Amazon S3 ({refusal.get('Code') or type(error).__name__})."
    )
    return f"{sentence} {refusal['Message']}" if refusal.get("Message") else sentence
