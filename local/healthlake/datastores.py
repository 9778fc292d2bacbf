"""Life of a datastore: created, tagged, deleted, whether by the JSON API or by CloudFormation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from local.healthlake.catalog import ACTIVE, Catalog, Datastore, endpoint_of
from local.healthlake.clock import Clock
from local.healthlake.errors import ApiError
from local.healthlake.export_queue import ExportQueue
from local.healthlake.job_events import EventOutbox, datastore_event

_SETTINGS = (
    "SseConfiguration",
    "PreloadDataConfig",
    "IdentityProviderConfiguration",
    "NlpConfiguration",
    "AnalyticsConfiguration",
    "ProfileConfiguration",
)


@dataclass(frozen=True)
class Datastores:
    """The datastores of one account and region; `base_url` is where they are served."""

    catalog: Catalog
    queue: ExportQueue
    outbox: EventOutbox
    clock: Clock
    new_id: Callable[[], str]
    base_url: str
    region: str
    account_id: str

    def create(self, params: Mapping[str, Any]) -> Datastore:
        """A new datastore, ACTIVE at once (on AWS it takes about half an hour).

        A repeated ClientToken answers with the datastore that it made.
        """
        token = params.get("ClientToken")
        for earlier in self.catalog.datastores():
            if token is not None and earlier.client_token == token:
                return earlier
        datastore_id = self.new_id()
        datastore = Datastore(
            datastore_id=datastore_id,
            arn=f"arn:aws:healthlake:{self.region}:{self.account_id}:datastore/fhir/{datastore_id}",
            endpoint=endpoint_of(self.base_url, datastore_id),
            status=ACTIVE,
            created_ms=self.clock.now_ms(),
            name=params.get("DatastoreName"),
            settings={name: params[name] for name in _SETTINGS if params.get(name) is not None},
            tags={tag["Key"]: tag["Value"] for tag in params.get("Tags") or []},
            client_token=token,
        )
        self.catalog.save(datastore)
        self._announce(datastore, "Data Store Creating", "Data Store Active")
        return datastore

    def delete(self, datastore_id: str) -> Datastore:
        """Delete a datastore with its resources and jobs; ConflictException unless it is ACTIVE."""
        datastore = self.catalog.get(datastore_id)
        if datastore.status != ACTIVE:
            raise ApiError("ConflictException", f"The data store is in the state {datastore.status}.")
        self.queue.forget(datastore_id)
        deleted = self.catalog.remove(datastore_id)
        self._announce(datastore, "Data Store Deleting", "Data Store Deleted")
        return deleted

    def by_arn(self, arn: str) -> Datastore:
        """The datastore of an ARN; ResourceNotFoundException when there is none."""
        for datastore in self.catalog.datastores():
            if datastore.arn == arn and datastore.status == ACTIVE:
                return datastore
        raise ApiError("ResourceNotFoundException", "ResourceARN does not name a resource of this account.")

    def change_tags(self, arn: str, added: Mapping[str, str], removed: list[str]) -> None:
        """Add and remove tags."""
        datastore = self.by_arn(arn)
        kept = {key: value for key, value in datastore.tags.items() if key not in removed}
        tags = {**kept, **added}
        if len(tags) > 200:
            raise ApiError("ValidationException", "A resource can have at most 200 tags.")
        self.catalog.save(replace(datastore, tags=tags))

    def _announce(self, datastore: Datastore, *detail_types: str) -> None:
        for detail_type in detail_types:
            self.outbox.add(datastore_event(detail_type, datastore, self.clock.now_ms()))
        self.outbox.flush()
