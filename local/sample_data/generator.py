"""Composes the sample: a few organizations and practitioners, many patients, and what happened to them."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from local.sample_data import clinical, documents, observations, people
from local.sample_data.elements import Element
from local.sample_data.exact_json import exact_json

SEED = 20240101
PATIENTS = 120


def generate(patients: int = PATIENTS, seed: int = SEED) -> Iterator[Element]:
    """The resources in an order in which every reference points backwards; the same for the same arguments.

    Decimals are placeholders for `exact_json`.
    """
    random = Random(seed)  # noqa: S311 - repeatable on purpose
    organizations = people.organizations(6)
    locations = people.locations(12, organizations)
    practitioners = people.practitioners(20)
    yield from organizations
    yield from locations
    yield from practitioners
    yield from people.roles(practitioners, organizations, locations)
    for number, patient in enumerate(people.patients(random, patients, practitioners)):
        yield patient
        encounters = clinical.encounters(random, patient, 5, locations)
        yield from encounters
        yield from clinical.conditions(random, patient, encounters, 3)
        yield from clinical.procedures(random, patient, encounters, 2)
        yield from clinical.medication_requests(random, patient, encounters, 3)
        yield from clinical.immunizations(random, patient, 3)
        yield from clinical.allergies(random, patient)
        observed = observations.observations(random, patient, encounters, 22)
        yield from observed
        yield from observations.reports(random, patient, observed, 3)
        yield from documents.documents(random, patient, encounters)
        if number == 0:
            yield documents.large_document(patient, encounters)


def write_sample(folder: Path, patients: int = PATIENTS, seed: int = SEED) -> int:
    """Write the sample as one NDJSON file per resource type; returns the number of resources."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, list[str]] = {}
    for resource in generate(patients, seed):
        lines.setdefault(resource["resourceType"], []).append(exact_json(resource))
    for resource_type, texts in lines.items():
        (folder / f"{resource_type}.ndjson").write_text(
            "".join(f"{text}\n" for text in texts), encoding="utf-8"
        )
    return sum(map(len, lines.values()))
