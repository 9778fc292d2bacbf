"""Client of HealthLake's FHIR `$export` operation, which boto3 does not know.

Follows the AWS HealthLake Developer Guide, «Exporting FHIR data with $export» (REST, signed with
Signature Version 4). Only this API takes `_since`, `_until` and `_type`; StartFHIRExportJob takes none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from common import aws_clients
from common.healthlake_http import HealthLakeHttp, NoCredentials, Unreachable
from common.observability import count
from common.refusals import naming_the_action, refused_action
from healthlake_export.errors import HealthLakeBusy, HealthLakeRefused
from healthlake_export.job_status import is_final

if TYPE_CHECKING:
    from botocore.session import Session
    from mypy_boto3_healthlake import HealthLakeClient
    from mypy_boto3_healthlake.type_defs import (
        ExportJobPropertiesTypeDef,
        ListFHIRExportJobsResponseTypeDef,
    )

_NOT_NOW = frozenset({408, 409, 423, 425, 429})
_OK = frozenset({200, 202})
_NOT_ALLOWED = 403
# IAM has actions of their own for the REST calls; a refusal that names none is for lack of this one.
_ACTIONS = {
    "POST": "healthlake:StartFHIRExportJobWithPost",
    "GET": "healthlake:DescribeFHIRExportJobWithGet",
    "DELETE": "healthlake:CancelFHIRExportJobWithDelete",
}


def export_job_name(run_id: str) -> str:
    """The HealthLake job name of a run: a hash, since a job name has at most 64 characters and a run's 80."""
    return "hub-" + hashlib.sha256(run_id.encode()).hexdigest()[:40]


@dataclass(frozen=True)
class ExportRequest:
    """What a run asks of HealthLake. `job_name` is at most 64 characters, `output_uri` an `s3://` prefix."""

    job_name: str
    output_uri: str
    kms_key_arn: str
    data_access_role_arn: str
    since: str | None
    until: str | None
    types: Sequence[str]

    def query(self) -> str:
        """The query string of the start request. Every reserved character is encoded, commas too: what is
        signed must be what the service makes of the request."""
        asked = {"_since": self.since, "_until": self.until, "_type": ",".join(self.types)}
        return urlencode({name: value for name, value in asked.items() if value}, quote_via=quote)

    def body(self) -> dict[str, Any]:
        """The JSON body of the start request."""
        return {
            "JobName": self.job_name,
            "OutputDataConfig": {
                "S3Configuration": {"S3Uri": self.output_uri, "KmsKeyId": self.kms_key_arn},
            },
            "DataAccessRoleArn": self.data_access_role_arn,
        }


@dataclass(frozen=True)
class ExportJob:
    """A job as its status request tells: `output` and `errors` are object URLs, there once it has ended;
    `refused` is the IAM action that HealthLake says the data access role lacks."""

    job_id: str
    status: str
    output: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    refused: str | None = None


class FhirExportApi:
    """Start, describe, find and cancel export jobs of one datastore.

    Every method raises `HealthLakeBusy` when the answer is worth another try and `HealthLakeRefused`
    when it is not; both messages carry the operation, the status code and a missing permission's action,
    never the answer's text.
    """

    def __init__(self, session: Session, client: HealthLakeClient, datastore_id: str) -> None:
        self._client = client
        self._datastore_id = datastore_id
        self._http = HealthLakeHttp(session, client, datastore_id)

    def start(self, request: ExportRequest) -> str:
        """Start an export job and return its id."""
        answer = self._send("POST", "$export", request.query(), request.body())
        job_id = answer.get("jobId")
        if not isinstance(job_id, str) or not job_id:
            raise _busy("HealthLake answered the start of an export without a job id.")
        return job_id

    def describe(self, job_id: str) -> ExportJob:
        """The job as it is now."""
        answer = self._send("GET", f"export/{quote(job_id)}")
        properties = answer.get("exportJobProperties", answer)
        status = properties.get("jobStatus") if isinstance(properties, dict) else None
        if not isinstance(status, str):
            raise _busy("HealthLake answered the status of an export without a status.")
        refused = refused_action(properties.get("message"))
        return ExportJob(job_id, status, _urls(answer.get("output")), _urls(answer.get("error")), refused)

    def cancel(self, job_id: str) -> None:
        """Ask HealthLake to cancel the job; it answers before the job has ended."""
        self._send("DELETE", f"export/{quote(job_id)}")

    def find(self, job_name: str) -> str | None:
        """The id of the newest job named `job_name`, or None. Names are derived from run ids, so a job
        with the run's name is the run's own, whoever started it."""
        newest = max(self._jobs_named(job_name), key=lambda job: job["SubmitTime"], default=None)
        return newest["JobId"] if newest else None

    def _jobs_named(self, job_name: str) -> Iterator[ExportJobPropertiesTypeDef]:
        page = self._list(DatastoreId=self._datastore_id, JobName=job_name)
        yield from page["ExportJobPropertiesList"]
        while token := page.get("NextToken"):
            page = self._list(DatastoreId=self._datastore_id, JobName=job_name, NextToken=token)
            yield from page["ExportJobPropertiesList"]

    def _list(self, **request: Any) -> ListFHIRExportJobsResponseTypeDef:
        text = None
        try:
            page = self._client.list_fhir_export_jobs(**request)
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            code = error.response.get("Error", {}).get("Code", "Unknown")
            text = error.response.get("Error", {}).get("Message")
        except (BotoCoreError, ResponseParserError, AttributeError) as error:
            # botocore's parser meets JSON that is no object with an AttributeError.
            status, code = 503, type(error).__name__
        else:
            # An answer that is no JSON reaches here as one without members.
            if all(
                "SubmitTime" in job and "JobId" in job for job in page.get("ExportJobPropertiesList", [{}])
            ):
                return page
            status, code = 503, "something that is no list of jobs"
        message = naming_the_action(f"HealthLake answered ListFHIRExportJobs with {code}.", text)
        if code == "ThrottlingException" or status in _NOT_NOW or status >= 500:
            raise _busy(message)
        raise HealthLakeRefused(message)

    def _send(
        self, method: str, operation: str, query: str = "", body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        path = operation + (f"?{query}" if query else "")
        status, content = self._exchange(method, path, json.dumps(body).encode() if body else b"")
        name = f"{method} {operation.split('/')[0]}"
        if status in _NOT_NOW or status >= 500:
            raise _busy(f"HealthLake answered {name} with {status}.")
        if status not in _OK:
            raise HealthLakeRefused(_refusal(method, name, status, content))
        return _json_object(content, name)

    def _exchange(self, method: str, path: str, content: bytes) -> tuple[int, bytes]:
        try:
            answer = self._http.exchange(method, path, content, {"Prefer": "respond-async"})
        except NoCredentials:
            missing = "There are no AWS credentials to sign requests to HealthLake with."
            raise HealthLakeRefused(missing) from None
        except Unreachable as error:
            reason = str(error)
        else:
            return answer.status, answer.content
        raise _busy(f"HealthLake could not be reached: {reason}.")


def _busy(message: str) -> HealthLakeBusy:
    """The error, counted: a HealthLake that is busy for long wakes somebody, whoever meets it."""
    count(HealthLakeBusy=1)
    return HealthLakeBusy(message)


def cancel_unless_ended(api: FhirExportApi, job_id: str) -> bool:
    """Cancel a job unless it has ended; returns whether it was asked to be cancelled."""
    if is_final(api.describe(job_id).status):
        return False
    api.cancel(job_id)
    return True


def export_api(datastore_id: str) -> FhirExportApi:
    """The API of a datastore, with the function's own credentials."""
    return FhirExportApi(aws_clients.session(), aws_clients.healthlake(), datastore_id)


def _refusal(method: str, name: str, status: int, content: bytes) -> str:
    sentence = f"HealthLake answered {name} with {status}."
    if status != _NOT_ALLOWED:
        return sentence
    named = naming_the_action(sentence, content.decode(errors="replace"))
    return f"{sentence} It needs {_ACTIONS[method]}." if named == sentence else named


def _json_object(content: bytes, name: str) -> dict[str, Any]:
    if not content.strip():
        return {}
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise _busy(f"HealthLake answered {name} with something that is not a JSON object.")
    return answer


def _urls(entries: Any) -> tuple[str, ...]:
    if not isinstance(entries, list):
        return ()
    return tuple(
        entry["url"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("url"), str)
    )
