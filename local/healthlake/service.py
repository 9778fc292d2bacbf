"""The whole emulator put together: one `handle` for every request, whatever server it came through."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from local.healthlake import admin_api, rest_api
from local.healthlake.access import Authorizer
from local.healthlake.admin_api import AdminApi
from local.healthlake.catalog import Catalog
from local.healthlake.clock import Clock, SystemClock
from local.healthlake.datastores import Datastores
from local.healthlake.errors import AccessRefusedError, ApiError
from local.healthlake.export_files import FileWriter, PutObject
from local.healthlake.export_queue import ExportQueue, Pace
from local.healthlake.faults import Faults
from local.healthlake.http_types import Request, Response
from local.healthlake.import_jobs import ImportJobs, ObjectReader
from local.healthlake.job_events import DeliverEvent, EventOutbox
from local.healthlake.json_api import TARGET_PREFIX, JsonApi
from local.healthlake.rest_api import RestApi

logger = logging.getLogger(__name__)

DEFAULT_FILE_SIZE = 64 * 1024 * 1024


def new_hex_id() -> str:
    """32 hexadecimal digits, as datastore and job ids have."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class ServiceConfig:
    """Where and how the emulator works.

    `pace` None leaves the jobs to `step`; `file_size` cuts export files (bytes).
    """

    directory: Path
    base_url: str
    put_object: PutObject
    object_reader: ObjectReader
    deliver_event: DeliverEvent
    authorizer: Authorizer
    clock: Clock = field(default_factory=SystemClock)
    pace: Pace | None = field(default_factory=Pace)
    file_size: int = DEFAULT_FILE_SIZE
    region: str = "us-east-1"
    account_id: str = "000000000000"
    new_id: Callable[[], str] = new_hex_id


class HealthLakeService:
    """A running emulator; `close` ends its threads."""

    def __init__(self, config: ServiceConfig) -> None:
        self._authorizer = config.authorizer
        self.clock = config.clock
        self.faults = Faults()
        self.catalog = Catalog(config.directory, config.clock, config.base_url)
        self.outbox = EventOutbox(config.deliver_event, self.faults, background=config.pace is not None)
        self.exports = ExportQueue(
            self.catalog,
            config.clock,
            self.faults,
            self.outbox,
            FileWriter(config.put_object, config.file_size),
            config.pace,
            config.new_id,
        )
        self.imports = ImportJobs(
            self.catalog,
            config.clock,
            self.outbox,
            config.object_reader,
            config.put_object,
            config.new_id,
            threaded=config.pace is not None,
        )
        self.datastores = Datastores(
            self.catalog,
            self.exports,
            self.outbox,
            config.clock,
            config.new_id,
            config.base_url,
            config.region,
            config.account_id,
        )
        self._rest = RestApi(self.catalog, self.exports, config.clock, self.faults, config.authorizer)
        self._json = JsonApi(
            self.catalog, self.datastores, self.exports, self.imports, self.faults, config.authorizer
        )
        self._admin = AdminApi(self.catalog, self.exports, self.imports, self.faults)

    def handle(self, request: Request) -> Response:
        """The answer to any request, with a request id."""
        response = self._answer(request)
        return replace(response, headers={**response.headers, "x-amzn-requestid": str(uuid.uuid4())})

    def _answer(self, request: Request) -> Response:
        if request.path.startswith(admin_api.PREFIX):
            return self._admin.handle(request)
        try:
            self._authorizer.authenticate(request)
            if request.headers.get("x-amz-target", "").startswith(TARGET_PREFIX):
                return self._json.handle(request)
            if request.path.startswith(rest_api.PREFIX):
                return self._rest.handle(request)
        except AccessRefusedError as refusal:
            return refusal.response()
        return ApiError("UnknownOperationException", "The request names no operation.", 404).response()

    def step(self) -> list[tuple[str, str]]:
        """Move every job one state on; returns (job id, new status) of the export jobs that moved."""
        self.imports.step()
        return self.exports.step()

    def reset(self) -> None:
        """Forget datastores, jobs and faults."""
        self.faults.clear()
        self.exports.forget()
        self.imports.forget()
        self.catalog.clear()

    def close(self) -> None:
        """End the threads and close the files."""
        self.exports.stop()
        self.outbox.close()
        self.catalog.close()
