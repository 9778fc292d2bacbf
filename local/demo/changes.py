"""What the demo changes between its two runs: resources of every type, one of them twice, and new ones."""

from collections.abc import Iterable

import msgspec

from local.cli.errors import CommandError
from local.cli.fhir_client import Answer, FhirClient
from local.cli.loading import diagnostics
from local.sample_data.exact_json import decimal, exact_json

UPDATES_PER_TYPE = 3
LANGUAGES = (b'"en-US"', b'"en-GB"')

_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def make_changes(client: FhirClient, loaded: Iterable[str]) -> set[str]:
    """Update some of the loaded resources (type/id) and create others; returns all that were changed.

    One resource is updated twice: an export holds current versions only, so it counts once.
    """
    updated = chosen(loaded)
    for key in updated:
        update(client, key, LANGUAGES[0])
    update(client, updated[0], LANGUAGES[1])
    return set(updated) | create(client)


def chosen(loaded: Iterable[str]) -> list[str]:
    """A few resources of each type, the same ones for the same input."""
    by_type: dict[str, list[str]] = {}
    for key in sorted(loaded):
        by_type.setdefault(key.partition("/")[0], []).append(key)
    return [key for keys in by_type.values() for key in keys[:UPDATES_PER_TYPE]]


def update(client: FhirClient, key: str, language: bytes) -> None:
    """Give the resource another language, leaving the text of everything else as it is."""
    current = client.get(key)
    _expect(current, key)
    members = _MEMBERS.decode(current.body)
    members["language"] = msgspec.Raw(language)
    _expect(client.put(key, msgspec.json.encode(members)), key)


def create(client: FhirClient) -> set[str]:
    """A new patient with an observation, under ids of the client's, and one under an id of the server's."""
    patient = {
        "resourceType": "Patient",
        "id": "demo-patient-new",
        "name": [{"family": "Testpatient-New", "given": ["Synthetic"]}],
        "gender": "unknown",
    }
    weight = {
        "resourceType": "Observation",
        "id": "demo-observation-new",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body weight"}]},
        "subject": {"reference": "Patient/demo-patient-new"},
        "valueQuantity": {"value": decimal("71.10"), "unit": "kg"},
    }
    created = set()
    for resource in (patient, weight):
        key = f"{resource['resourceType']}/{resource['id']}"
        _expect(client.put(key, exact_json(resource).encode()), key)
        created.add(key)
    organization = {"resourceType": "Organization", "name": "Sample Clinic, opened in the demo"}
    answer = client.request("POST", "Organization", exact_json(organization).encode())
    _expect(answer, "Organization")
    return created | {f"Organization/{answer.document()['id']}"}


def _expect(answer: Answer, key: str) -> None:
    if answer.status not in (200, 201):
        reason = diagnostics(answer.document())
        raise CommandError(f"HealthLake answered {answer.status} for {key}: {reason}")
