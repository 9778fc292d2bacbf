"""AWS::HealthLake::FHIRDatastore (AWS CloudFormation Template Reference, the page of that name)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from local.healthlake.api_validation import check_input, find_operation
from local.healthlake.catalog import ACTIVE, Datastore
from local.healthlake.datastores import Datastores
from local.healthlake.errors import ApiError

TYPE = "AWS::HealthLake::FHIRDatastore"

Properties = Mapping[str, Any]
Provisioned = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class DatastoreResource:
    """Creates, updates and deletes the datastores of stacks, in the forms that ministack's engine calls."""

    datastores: Datastores

    def handlers(self) -> dict[str, Any]:
        """What ministack registers for a resource type."""
        return {
            "create": self.create,
            "update": self.update,
            "update_with_logical_id": True,
            "delete": self.delete,
        }

    def create(self, logical_id: str, props: Properties, _stack_name: str) -> Provisioned:
        """A new datastore; Ref is its id. ValueError carries the reason of a refusal."""
        params = {name: value for name, value in props.items() if value is not None}
        operation = find_operation("CreateFHIRDatastore")
        assert operation is not None
        try:
            check_input(operation, params)
        except ApiError as refusal:
            raise ValueError(f"{TYPE} {logical_id}: {refusal.message}") from None
        datastore = self.datastores.create(params)
        return datastore.datastore_id, attributes(datastore)

    def update(
        self,
        physical_id: str,
        old: Properties,
        new: Properties,
        stack_name: str,
        logical_id: str | None = None,
    ) -> Provisioned:
        """New tags in place; any other change replaces the datastore: its properties are create-only."""
        if _without_tags(old) != _without_tags(new):
            created = self.create(logical_id or physical_id, new, stack_name)
            self.delete(physical_id, old)
            return created
        datastore = self.datastores.catalog.get(physical_id)
        removed = [tag["Key"] for tag in old.get("Tags") or []]
        self.datastores.change_tags(datastore.arn, _tags(new), removed)
        return physical_id, attributes(datastore)

    def delete(self, physical_id: str, _props: Properties) -> None:
        """Delete the datastore; one that is gone already is no error."""
        known = {datastore.datastore_id: datastore for datastore in self.datastores.catalog.datastores()}
        if physical_id in known and known[physical_id].status == ACTIVE:
            self.datastores.delete(physical_id)


def attributes(datastore: Datastore) -> dict[str, Any]:
    """What Fn::GetAtt returns."""
    return {
        "DatastoreArn": datastore.arn,
        "DatastoreEndpoint": datastore.endpoint,
        "DatastoreId": datastore.datastore_id,
        "DatastoreStatus": datastore.status,
        "CreatedAt.Seconds": str(datastore.created_ms // 1000),
        "CreatedAt.Nanos": datastore.created_ms % 1000 * 1_000_000,
    }


def _tags(props: Properties) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in props.get("Tags") or []}


def _without_tags(props: Properties) -> dict[str, Any]:
    return {name: value for name, value in props.items() if name != "Tags"}
