"""Who may still write what is to be erased: export jobs, functions of runs that ended badly, queries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from healthlake_export.job_status import is_final
from healthlake_export.table_keys import run_key
from local.erasure.stack_buckets import StackResource

LONGEST_FUNCTION = timedelta(seconds=900 + 60)
"""No function lives longer («Lambda quotas», AWS Lambda Developer Guide), however clocks differ."""

_LONGEST_QUERY = timedelta(hours=5)
"""Athena ends queries of its own accord before that («Service Quotas», Amazon Athena User Guide)."""

_KEYS_AT_ONCE = 100
_QUERIES_AT_ONCE = 50
_ENDED_QUERIES = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})


def unfinished_export_jobs(healthlake: Any, datastore_id: str, buckets: Sequence[StackResource]) -> list[str]:
    """Ids of the export jobs of the datastore that still write into one of the buckets."""
    targets = tuple(f"s3://{bucket.name}/" for bucket in buckets)
    request: dict[str, Any] = {"DatastoreId": datastore_id}
    jobs: list[str] = []
    while True:
        page = healthlake.list_fhir_export_jobs(**request)
        for job in page["ExportJobPropertiesList"]:
            uri = job.get("OutputDataConfig", {}).get("S3Configuration", {}).get("S3Uri", "")
            if not is_final(job["JobStatus"]) and f"{uri}/".startswith(targets):
                jobs.append(job["JobId"])
        if not page.get("NextToken"):
            return jobs
        request["NextToken"] = page["NextToken"]


@dataclass(frozen=True)
class EndedRuns:
    """Runs of the export workflow that have just ended, by what Step Functions and the hub's table say."""

    stepfunctions: Any
    dynamodb: Any
    state_machine_arn: str
    table: str

    def functions_end_by(self, entry_at: datetime, now: datetime) -> datetime | None:
        """When the last function is dead that a run has left behind and that does not know the entry written
        at `entry_at`; None when there can be none.

        A run that completes waits for its functions. One that was stopped, or that one of them failed, leaves
        the others to themselves.
        """
        stops = {
            execution["name"]: execution["stopDate"]
            for execution in self._stopped_since(now - LONGEST_FUNCTION)
        }
        left = self._with_functions_left(list(stops))
        ends = [min(stops[name], entry_at) + LONGEST_FUNCTION for name in left]
        last = max(ends, default=None)
        return last if last is not None and last > now else None

    def _stopped_since(self, since: datetime) -> Iterator[Mapping[str, Any]]:
        """Executions are listed newest first by their start. None runs longer than ten days, but how long one
        ran tells nothing: all are looked at that started within them."""
        pages = self.stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=self.state_machine_arn, PaginationConfig={"PageSize": 1000}
        )
        for page in pages:
            for execution in page["executions"]:
                if execution["startDate"] < since - timedelta(days=10):
                    return
                if execution.get("stopDate") is not None and execution["stopDate"] > since:
                    yield execution

    def _with_functions_left(self, run_ids: Sequence[str]) -> set[str]:
        """Those that had the lock, by their audit item, and did not complete."""
        found: set[str] = set()
        for start in range(0, len(run_ids), _KEYS_AT_ONCE):
            asked: dict[str, Any] = {
                self.table: {"Keys": [run_key(run_id) for run_id in run_ids[start : start + _KEYS_AT_ONCE]]}
            }
            while asked:
                answer = self.dynamodb.batch_get_item(RequestItems=asked)
                for item in answer["Responses"].get(self.table, ()):
                    if item.get("status", {}).get("S") != "COMPLETED":
                        found.add(item["pk"]["S"].removeprefix("RUN#"))
                asked = answer.get("UnprocessedKeys") or {}
        return found


def unfinished_queries(athena: Any, workgroup: str, before: datetime) -> list[str]:
    """Ids of the workgroup's queries that were submitted before that time and have not ended."""
    unfinished: list[str] = []
    for page in athena.get_paginator("list_query_executions").paginate(WorkGroup=workgroup):
        ids = page["QueryExecutionIds"]
        if not ids:
            continue
        newest_first = [
            one
            for start in range(0, len(ids), _QUERIES_AT_ONCE)
            for one in athena.batch_get_query_execution(
                QueryExecutionIds=ids[start : start + _QUERIES_AT_ONCE]
            )["QueryExecutions"]
        ]
        submitted = [one["Status"]["SubmissionDateTime"] for one in newest_first]
        unfinished += [
            one["QueryExecutionId"]
            for one in newest_first
            if one["Status"]["State"] not in _ENDED_QUERIES and one["Status"]["SubmissionDateTime"] < before
        ]
        if submitted and max(submitted) < before - _LONGEST_QUERY:
            break
    return unfinished


def abort_uploads(s3: Any, bucket: str, before: datetime) -> int:
    """Abort what was begun to be uploaded before that time and never completed: its parts are kept by S3, and
    no list of objects shows them. Returns how many there were."""
    aborted = 0
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", ()):
            if upload["Initiated"] < before:
                s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                aborted += 1
    return aborted
