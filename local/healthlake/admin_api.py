"""The emulator's own pages below /_local/healthlake: what it holds, and faults on request.

GET /_local/healthlake shows datastores with counts, and jobs. GET, POST and DELETE /_local/healthlake/faults
show, ask for and forget faults; a POST is {"fault": name, ...} whose names
a wrong one is answered with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from local.healthlake.catalog import ACTIVE, Catalog
from local.healthlake.clock import iso_ms
from local.healthlake.export_queue import ExportQueue
from local.healthlake.faults import FailedResource, Faults
from local.healthlake.http_types import Request, Response, json_response
from local.healthlake.import_jobs import ImportJobs

PREFIX = "/_local/healthlake"

Order = dict[str, Any]


@dataclass(frozen=True)
class AdminApi:
    """Answers the emulator's own paths; they need no signature."""

    catalog: Catalog
    exports: ExportQueue
    imports: ImportJobs
    faults: Faults

    def handle(self, request: Request) -> Response:
        """The answer to one request below /_local/healthlake."""
        match request.method, request.path.removeprefix(PREFIX).strip("/"):
            case "GET", "":
                return json_response(200, self.describe())
            case "GET", "faults":
                return json_response(200, self.faults.waiting())
            case "POST", "faults":
                return self._ask(request.body)
            case "DELETE", "faults":
                self.faults.clear()
                return json_response(200, self.faults.waiting())
        return json_response(404, {"message": "There is nothing at this path."})

    def describe(self) -> dict[str, Any]:
        """Datastores with resource counts, and the jobs of each."""
        return {
            "datastores": [
                {
                    "datastoreId": datastore.datastore_id,
                    "name": datastore.name,
                    "status": datastore.status,
                    "endpoint": datastore.endpoint,
                    "resources": self.catalog.store(datastore.datastore_id).counts(),
                    "exportJobs": [
                        {
                            "jobId": job.job_id,
                            "jobName": job.request.job_name,
                            "jobStatus": job.status,
                            "submitTime": iso_ms(job.submitted),
                            "files": len(job.output),
                        }
                        for job in self.exports.jobs(datastore.datastore_id)
                    ],
                    "importJobs": [
                        {"jobId": job.job_id, "jobStatus": job.status, "submitTime": iso_ms(job.submitted)}
                        for job in self.imports.jobs(datastore.datastore_id)
                    ],
                }
                for datastore in self.catalog.datastores()
                if datastore.status == ACTIVE
            ]
        }

    def _ask(self, body: bytes) -> Response:
        try:
            order = msgspec.json.decode(body, type=Order)
            self._known()[order.pop("fault")](order)
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError):
            known = ", ".join(sorted(self._known()))
            return json_response(400, {"message": f"Ask with a JSON object whose fault is one of {known}."})
        return json_response(200, self.faults.waiting())

    def _known(self) -> Mapping[str, Callable[[Order], None]]:
        return {
            "fail-next-job": self._fail_next_job,
            "errors-in-next-job": self._errors_in_next_job,
            "slow-next-job": self._slow_next_job,
            "hold-next-job": self._hold_next_job,
            "release": self._release,
            "fail-next-cancel": self._fail_next_cancel,
            "throttle": self._throttle,
            "refuse": self._refuse,
            "answer": self._answer,
            "drop-events": self._drop_events,
        }

    def _fail_next_job(self, order: Order) -> None:
        self.faults.fail_next_job(**order)

    def _errors_in_next_job(self, order: Order) -> None:
        described = msgspec.convert(order["resources"], list[dict[str, str]])
        self.faults.errors_in_next_job(
            *(
                FailedResource(
                    one["resourceType"], one["id"], one.get("diagnostics", FailedResource.diagnostics)
                )
                for one in described
            )
        )

    def _slow_next_job(self, order: Order) -> None:
        self.faults.slow_next_job(float(order["seconds"]))

    def _hold_next_job(self, order: Order) -> None:
        self.faults.hold_next_job(str(order["status"]))

    def _release(self, order: Order) -> None:
        self.exports.release(order.get("jobId"))

    def _fail_next_cancel(self, _order: Order) -> None:
        self.faults.fail_next_cancel()

    def _throttle(self, order: Order) -> None:
        self.faults.throttle(int(order["calls"]), order.get("action"))

    def _refuse(self, order: Order) -> None:
        self.faults.refuse(int(order["calls"]), int(order["status"]), str(order["name"]), order.get("action"))

    def _answer(self, order: Order) -> None:
        self.faults.answer(
            int(order["calls"]),
            int(order["status"]),
            str(order["body"]),
            order.get("action"),
            performed=bool(order.get("performed", False)),
        )

    def _drop_events(self, order: Order) -> None:
        self.faults.drop_events(int(order["count"]), order.get("detailType"))
