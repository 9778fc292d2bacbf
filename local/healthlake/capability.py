"""The CapabilityStatement at /metadata (AWS HealthLake Developer Guide, "FHIR R4 Capability Statement")."""

from __future__ import annotations

from typing import Any

from local.healthlake.catalog import Datastore
from local.healthlake.clock import iso_ms
from local.healthlake.resource_types import RESOURCE_TYPES

_INTERACTIONS = ("create", "read", "vread", "update", "delete", "search-type")


def capability_statement(datastore: Datastore) -> dict[str, Any]:
    """What this datastore can do."""
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": iso_ms(datastore.created_ms),
        "publisher": "Amazon Web Services",
        "kind": "instance",
        "software": {"name": "AWS HealthLake (local)"},
        "implementation": {"description": datastore.name or "", "url": datastore.endpoint},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "resource": [_resource(name) for name in sorted(RESOURCE_TYPES)],
                "interaction": [{"code": "batch"}, {"code": "transaction"}],
                "operation": [
                    {
                        "name": "export",
                        "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export",
                    }
                ],
            }
        ],
    }


def _resource(name: str) -> dict[str, Any]:
    return {
        "type": name,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned-update",
        "readHistory": False,
        "updateCreate": True,
        "conditionalCreate": False,
        "searchParam": [{"name": "_id", "type": "token"}, {"name": "_lastUpdated", "type": "date"}],
    }
