"""The bulk export operation over REST.

AWS HealthLake Developer Guide, "Exporting HealthLake data with FHIR $export".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from local.healthlake.catalog import Datastore
from local.healthlake.clock import Clock, to_ms
from local.healthlake.errors import FhirError, invalid, not_found
from local.healthlake.export_jobs import FINAL, ExportRequest
from local.healthlake.export_queue import ExportQueue
from local.healthlake.http_types import Request, Response, json_response
from local.healthlake.resource_text import check_id
from local.healthlake.resource_types import RESOURCE_TYPES
from local.healthlake.store import ResourceStore

_S3_URI = re.compile(r"s3://[a-z0-9][.\-a-z0-9]{1,61}[a-z0-9](/.*)?")
_ROLE_ARN = re.compile(r"arn:aws(-[^:]+)?:iam::[0-9]{12}:role/.+")
_JOB_NAME = re.compile(r"[\w\s.:/=+\-%@]{1,64}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_FORMATS = {"application/fhir+ndjson", "application/fhir ndjson", "application/ndjson", "ndjson"}
_PARAMETERS = {"_type", "_since", "_until", "_outputFormat"}


class S3Configuration(msgspec.Struct, rename="pascal"):
    """Where the files go, and the key that encrypts them."""

    s3_uri: str = msgspec.field(name="S3Uri")
    kms_key_id: str


class OutputDataConfig(msgspec.Struct):
    """OutputDataConfig of the body."""

    s3_configuration: S3Configuration = msgspec.field(name="S3Configuration")


class ExportBody(msgspec.Struct, rename="pascal"):
    """The body of the start request."""

    output_data_config: OutputDataConfig
    data_access_role_arn: str
    job_name: str | None = None


@dataclass(frozen=True)
class ExportApi:
    """$export of one datastore."""

    datastore: Datastore
    store: ResourceStore
    queue: ExportQueue
    clock: Clock

    def parse(self, request: Request, scope: str) -> ExportRequest:
        """What a start request asks for; FhirError (400, or 404 for an unknown group) says what is wrong."""
        if "respond-async" not in request.headers.get("prefer", ""):
            raise invalid("An export needs the header Prefer: respond-async.")
        body = _parse_body(request.body)
        query = request.query
        self._check_parameters(query)
        if scope.startswith("Group/"):
            check_id(scope.removeprefix("Group/"))
            group = self.store.read("Group", scope.removeprefix("Group/"))
            if group is None or group.deleted:
                raise not_found("The Group")
        path = f"{self.datastore.endpoint}{'' if scope == 'System' else scope + '/'}$export"
        return ExportRequest(
            datastore_id=self.datastore.datastore_id,
            s3_uri=body.output_data_config.s3_configuration.s3_uri,
            kms_key_id=body.output_data_config.s3_configuration.kms_key_id,
            role_arn=body.data_access_role_arn,
            job_name=body.job_name,
            scope=scope,
            types=_parse_types(query),
            since=_parse_instant(query, "_since", round_up=True),
            until=_parse_instant(query, "_until", round_up=False),
            url=f"{path}?{request.raw_query}" if request.raw_query else path,
        )

    def start(self, export: ExportRequest) -> Response:
        """202 with content-location, and {datastoreId, jobStatus, jobId}."""
        job = self.queue.submit(export)
        return json_response(
            202,
            {"datastoreId": export.datastore_id, "jobStatus": job.status, "jobId": job.job_id},
            **{"content-location": f"{self.datastore.endpoint}export/{job.job_id}"},
        )

    def describe(self, job_id: str) -> Response:
        """202 while the job has not ended, 200 afterwards; the state is in exportJobProperties either way."""
        job = self.queue.get(self.datastore.datastore_id, job_id)
        if job is None:
            raise not_found("The export job")
        if job.status not in FINAL:
            return json_response(
                202, {"exportJobProperties": job.rest_properties()}, **{"x-progress": job.status}
            )
        return json_response(200, job.status_document(self.clock.now_ms()))

    def cancel(self, job_id: str) -> Response:
        """202; the job goes on to CANCEL_IN_PROGRESS and CANCEL_COMPLETED."""
        job = self.queue.cancel(self.datastore.datastore_id, job_id)
        properties = {"jobId": job.job_id, "jobStatus": job.status, "datastoreId": job.request.datastore_id}
        return json_response(202, {"exportJobProperties": properties})

    def _check_parameters(self, query: Mapping[str, Sequence[str]]) -> None:
        unknown = sorted(set(query) - _PARAMETERS)
        if unknown:
            raise FhirError(400, "not-supported", f"The parameter {unknown[0][:64]} is not supported.")
        if query.get("_outputFormat", ["ndjson"])[0] not in _FORMATS:
            raise FhirError(400, "not-supported", "_outputFormat must be application/fhir+ndjson.")


def _parse_body(body: bytes) -> ExportBody:
    try:
        parsed = msgspec.json.decode(body, type=ExportBody)
    except msgspec.ValidationError as error:
        # The message names a key and a type, never a value.
        raise invalid(f"The body does not describe an export: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid("The body is not JSON.") from None
    configuration = parsed.output_data_config.s3_configuration
    if not _S3_URI.fullmatch(configuration.s3_uri):
        raise invalid("S3Uri is not of the form s3://bucket/prefix.")
    if not configuration.kms_key_id:
        raise invalid("KmsKeyId is empty.")
    if not _ROLE_ARN.fullmatch(parsed.data_access_role_arn):
        raise invalid("DataAccessRoleArn is not the ARN of a role.")
    if parsed.job_name is not None and not _JOB_NAME.fullmatch(parsed.job_name):
        raise invalid("JobName must have 1 to 64 letters, digits, spaces or the characters _.:/=+-%@.")
    return parsed


def _parse_types(query: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    named = [name for value in query.get("_type", ()) for name in value.split(",") if name]
    if not set(named) <= RESOURCE_TYPES:
        raise invalid("_type names something that is not a resource type of FHIR R4.")
    return tuple(sorted(set(named)))


def _parse_instant(query: Mapping[str, Sequence[str]], name: str, *, round_up: bool) -> int | None:
    values = query.get(name)
    if not values or not values[0]:
        return None
    # A plus sign that was not percent-encoded arrives as a space.
    text = values[0].replace(" ", "+")
    if not _INSTANT.fullmatch(text):
        raise invalid(f"{name} is not a FHIR instant with a time zone.")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"{name} is not a moment that exists.") from None
    return to_ms(moment) + (round_up and moment.microsecond % 1000 > 0)
