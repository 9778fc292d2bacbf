"""Routes of the FHIR REST API: /datastore/{id}/r4/…"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from local.healthlake.access import Authorizer, fhir_action
from local.healthlake.bundles import BundlesApi
from local.healthlake.capability import capability_statement
from local.healthlake.catalog import Catalog, Datastore
from local.healthlake.clock import Clock
from local.healthlake.errors import FhirError, not_found
from local.healthlake.export_api import ExportApi
from local.healthlake.export_queue import ExportQueue
from local.healthlake.faults import Faults
from local.healthlake.http_types import Request, Response, fhir_response
from local.healthlake.resources_api import ResourcesApi
from local.healthlake.store import ResourceStore

PREFIX = "/datastore/"


@dataclass(frozen=True)
class RestApi:
    """Answers FHIR requests; every refusal is an OperationOutcome."""

    catalog: Catalog
    queue: ExportQueue
    clock: Clock
    faults: Faults
    authorizer: Authorizer

    def handle(self, request: Request) -> Response:
        """The answer to one request below /datastore/."""
        try:
            return self._route(request)
        except FhirError as refusal:
            return refusal.response()

    def _route(self, request: Request) -> Response:
        datastore_id, _, rest = request.path.removeprefix(PREFIX).partition("/")
        version, _, below = rest.partition("/")
        if version != "r4":
            raise not_found("The path")
        segments = [segment for segment in below.split("/") if segment]
        action = fhir_action(request.method, segments)
        # Who may not act does not learn whether the datastore exists.
        self.authorizer.authorize(request, action, self._arn(datastore_id))
        datastore = self.catalog.active(datastore_id)
        self.faults.check_rest_call(action)
        return self.faults.answered(action, lambda: self._perform(request, segments, datastore, action))

    def _perform(self, request: Request, segments: list[str], datastore: Datastore, action: str) -> Response:
        store = self.catalog.store(datastore.datastore_id)
        if action.endswith(("WithDelete", "JobWithGet", "JobWithPost")):
            return self._export(request, segments, datastore, store)
        return self._resource(request, segments, datastore, store, action)

    def _arn(self, datastore_id: str) -> str:
        known = [
            datastore.arn for datastore in self.catalog.datastores() if datastore.datastore_id == datastore_id
        ]
        return known[0] if known else "*"

    def _export(
        self, request: Request, segments: list[str], datastore: Datastore, store: ResourceStore
    ) -> Response:
        export = ExportApi(datastore, store, self.queue, self.clock)
        match request.method, segments:
            case "GET", ["export", job_id]:
                return export.describe(job_id)
            case "DELETE", ["export", job_id]:
                return export.cancel(job_id)
            case _, ["$export"]:
                scope = "System"
            case _, ["Patient", "$export"]:
                scope = "Patient"
            case _, ["Group", group_id, "$export"]:
                scope = f"Group/{group_id}"
            case _:
                raise not_found("The path")
        parsed = export.parse(request, scope)
        self.authorizer.authorize_role(request, parsed.role_arn, datastore.arn)
        return export.start(parsed)

    def _resource(
        self, request: Request, segments: list[str], datastore: Datastore, store: ResourceStore, action: str
    ) -> Response:
        resources = ResourcesApi(datastore, store)
        match action, segments:
            case "GetCapabilities", _:
                return fhir_response(200, msgspec.json.encode(capability_statement(datastore)))
            case "ProcessBundle", _:
                return BundlesApi(datastore, store).process(request.body)
            case "CreateResource", [resource_type]:
                return resources.create(request, resource_type)
            case "SearchWithGet", [resource_type]:
                return resources.search(resource_type, request.query)
            case "SearchWithPost", [resource_type, _]:
                return resources.search_by_post(request, resource_type)
            case "ReadResource", [resource_type, resource_id]:
                return resources.read(resource_type, resource_id)
            case "UpdateResource", [resource_type, resource_id]:
                return resources.update(request, resource_type, resource_id)
            case "DeleteResource", [resource_type, resource_id]:
                return resources.delete(request, resource_type, resource_id)
            case "VersionReadResource", [resource_type, resource_id, "_history", version]:
                return resources.vread(resource_type, resource_id, version)
        raise FhirError(404, "not-supported", "The data store does not do that.")
