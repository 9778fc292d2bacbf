"""The awsJson1.0 API: X-Amz-Target HealthLake.<Operation> (AWS HealthLake API Reference, "Actions")."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from local.healthlake.access import Authorizer
from local.healthlake.api_validation import check_input, find_operation
from local.healthlake.catalog import ACTIVE, Catalog, Datastore
from local.healthlake.datastores import Datastores
from local.healthlake.errors import ApiError
from local.healthlake.export_jobs import ExportRequest
from local.healthlake.export_queue import ExportQueue
from local.healthlake.faults import Faults
from local.healthlake.http_types import AMZ_JSON, Request, Response
from local.healthlake.import_jobs import ImportJobs, ImportRequest

TARGET_PREFIX = "HealthLake."

Params = dict[str, Any]


@dataclass(frozen=True)
class JsonApi:
    """Answers the JSON API's operations on datastores, jobs and tags."""

    catalog: Catalog
    datastores: Datastores
    exports: ExportQueue
    imports: ImportJobs
    faults: Faults
    authorizer: Authorizer

    def handle(self, request: Request) -> Response:
        """The answer to one call; refusals carry their name in __type."""
        try:
            return self._call(request)
        except ApiError as refusal:
            return refusal.response()

    def _call(self, request: Request) -> Response:
        name = request.headers.get("x-amz-target", "").removeprefix(TARGET_PREFIX)
        operation = find_operation(name)
        perform = self._operations().get(name)
        if operation is None or perform is None:
            raise ApiError("UnknownOperationException", "The operation is not known.")
        params = _parse(request.body)
        self.authorizer.authorize(request, name, self._resource_of(params))
        self.faults.check_api_call(name)
        check_input(operation, params)
        if "DataAccessRoleArn" in params:
            datastore = self._active(params)
            self.authorizer.authorize_role(request, params["DataAccessRoleArn"], datastore.arn)
        return self.faults.answered(name, lambda: _document(perform(params)))

    def _operations(self) -> Mapping[str, Callable[[Params], Params]]:
        return {
            "CreateFHIRDatastore": self._create_datastore,
            "DescribeFHIRDatastore": self._describe_datastore,
            "ListFHIRDatastores": self._list_datastores,
            "DeleteFHIRDatastore": self._delete_datastore,
            "StartFHIRExportJob": self._start_export,
            "DescribeFHIRExportJob": self._describe_export,
            "ListFHIRExportJobs": self._list_exports,
            "StartFHIRImportJob": self._start_import,
            "DescribeFHIRImportJob": self._describe_import,
            "ListFHIRImportJobs": self._list_imports,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._list_tags,
        }

    def _resource_of(self, params: Params) -> str:
        if isinstance(params.get("ResourceARN"), str):
            return str(params["ResourceARN"])
        for datastore in self.catalog.datastores():
            if datastore.datastore_id == params.get("DatastoreId"):
                return datastore.arn
        return "*"

    def _active(self, params: Params) -> Datastore:
        datastore = self.catalog.get(params["DatastoreId"])
        if datastore.status != ACTIVE:
            raise ApiError("ValidationException", f"The data store is in the state {datastore.status}.")
        return datastore

    def _create_datastore(self, params: Params) -> Params:
        return _brief(self.datastores.create(params), "CREATING")

    def _describe_datastore(self, params: Params) -> Params:
        return {"DatastoreProperties": self.catalog.get(params["DatastoreId"]).properties()}

    def _list_datastores(self, params: Params) -> Params:
        wanted = params.get("Filter") or {}
        found = [
            datastore.properties()
            for datastore in self.catalog.datastores()
            if wanted.get("DatastoreName") in (None, datastore.name)
            and wanted.get("DatastoreStatus") in (None, datastore.status)
            and _between(datastore.created_ms, wanted.get("CreatedAfter"), wanted.get("CreatedBefore"))
        ]
        return _page("DatastorePropertiesList", found, params)

    def _delete_datastore(self, params: Params) -> Params:
        return _brief(self.datastores.delete(params["DatastoreId"]), "DELETING")

    def _start_export(self, params: Params) -> Params:
        target = params["OutputDataConfig"]["S3Configuration"]
        job = self.exports.submit(
            ExportRequest(
                datastore_id=params["DatastoreId"],
                s3_uri=target["S3Uri"],
                kms_key_id=target["KmsKeyId"],
                role_arn=params["DataAccessRoleArn"],
                job_name=params.get("JobName"),
                url=f"{self._active(params).endpoint}$export",
                client_token=params.get("ClientToken"),
            )
        )
        return {"JobId": job.job_id, "JobStatus": job.status, "DatastoreId": params["DatastoreId"]}

    def _describe_export(self, params: Params) -> Params:
        self.catalog.get(params["DatastoreId"])
        job = self.exports.get(params["DatastoreId"], params["JobId"])
        if job is None:
            raise ApiError(
                "ResourceNotFoundException", "JobId does not name an export job of the data store."
            )
        return {"ExportJobProperties": job.properties()}

    def _list_exports(self, params: Params) -> Params:
        self.catalog.get(params["DatastoreId"])
        jobs = [job.properties() for job in reversed(self.exports.jobs(params["DatastoreId"]))]
        return _page("ExportJobPropertiesList", _filter_jobs(jobs, params), params)

    def _start_import(self, params: Params) -> Params:
        job = self.imports.submit(
            ImportRequest(
                datastore_id=params["DatastoreId"],
                input_uri=params["InputDataConfig"]["S3Uri"],
                output=params["JobOutputDataConfig"]["S3Configuration"],
                role_arn=params["DataAccessRoleArn"],
                job_name=params.get("JobName"),
                client_token=params.get("ClientToken"),
            )
        )
        return {"JobId": job.job_id, "JobStatus": job.status, "DatastoreId": params["DatastoreId"]}

    def _describe_import(self, params: Params) -> Params:
        self.catalog.get(params["DatastoreId"])
        for job in self.imports.jobs(params["DatastoreId"]):
            if job.job_id == params["JobId"]:
                return {"ImportJobProperties": job.properties()}
        raise ApiError("ResourceNotFoundException", "JobId does not name an import job of the data store.")

    def _list_imports(self, params: Params) -> Params:
        self.catalog.get(params["DatastoreId"])
        jobs = [job.properties() for job in reversed(self.imports.jobs(params["DatastoreId"]))]
        return _page("ImportJobPropertiesList", _filter_jobs(jobs, params), params)

    def _tag(self, params: Params) -> Params:
        added = {tag["Key"]: tag["Value"] for tag in params["Tags"]}
        self.datastores.change_tags(params["ResourceARN"], added, [])
        return {}

    def _untag(self, params: Params) -> Params:
        self.datastores.change_tags(params["ResourceARN"], {}, params["TagKeys"])
        return {}

    def _list_tags(self, params: Params) -> Params:
        tags = self.datastores.by_arn(params["ResourceARN"]).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


def _document(answer: Params) -> Response:
    return Response(200, msgspec.json.encode(answer), {"content-type": AMZ_JSON})


def _parse(body: bytes) -> Params:
    try:
        return msgspec.json.decode(body or b"{}", type=Params)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ApiError("SerializationException", "The body is not a JSON object.") from None


def _brief(datastore: Datastore, status: str) -> Params:
    return {
        "DatastoreId": datastore.datastore_id,
        "DatastoreArn": datastore.arn,
        "DatastoreStatus": status,
        "DatastoreEndpoint": datastore.endpoint,
    }


def _filter_jobs(jobs: Sequence[Params], params: Params) -> list[Params]:
    return [
        job
        for job in jobs
        if params.get("JobName") in (None, job.get("JobName"))
        and params.get("JobStatus") in (None, job["JobStatus"])
        and _between(job["SubmitTime"] * 1000, params.get("SubmittedAfter"), params.get("SubmittedBefore"))
    ]


def _between(moment_ms: float, after: float | None, before: float | None) -> bool:
    return (after is None or moment_ms >= after * 1000) and (before is None or moment_ms <= before * 1000)


def _page(name: str, found: Sequence[Params], params: Params) -> Params:
    size = params.get("MaxResults") or 500
    start = 0
    if params.get("NextToken"):
        try:
            start = int(base64.urlsafe_b64decode(params["NextToken"]))
        except (binascii.Error, ValueError):
            raise ApiError("ValidationException", "NextToken is not one this service gave out.") from None
    answer: Params = {name: list(found[start : start + size])}
    if start + size < len(found):
        answer["NextToken"] = base64.urlsafe_b64encode(str(start + size).encode()).decode()
    return answer
