"""Who takes part: organizations, locations, practitioners and their roles, patients.

Names, streets and numbers are recognisably made up (telephone numbers from the range kept for fiction).
"""

from random import Random
from typing import Any

from local.sample_data.elements import (
    EXAMPLE,
    SNOMED,
    TERMINOLOGY,
    Element,
    concept,
    identifier,
    narrative,
    reference,
)
from local.sample_data.exact_json import decimal

BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
LANGUAGES = (("en", "English"), ("es", "Spanish"), ("de", "German"), ("fr", "French"))


def organizations(count: int) -> list[Element]:
    return [
        {
            "resourceType": "Organization",
            "id": f"organization-{number:02d}",
            "identifier": [identifier("organizations", f"ORG-{number:02d}")],
            "active": True,
            "type": [concept(f"{TERMINOLOGY}/organization-type", "prov", "Healthcare Provider")],
            "name": f"Sample Clinic {number:02d}",
            "telecom": [_telephone(number)],
            "address": [_address(number)],
        }
        for number in range(1, count + 1)
    ]


def locations(count: int, organizations: list[Element]) -> list[Element]:
    return [
        {
            "resourceType": "Location",
            "id": f"location-{number:02d}",
            "status": "active",
            "name": f"Ward {number:02d}",
            "mode": "instance",
            "address": _address(number),
            "position": {
                "longitude": decimal(f"-71.{number:02d}0"),
                "latitude": decimal(f"42.{number:02d}00"),
            },
            "managingOrganization": reference(organizations[number % len(organizations)]),
        }
        for number in range(1, count + 1)
    ]


def practitioners(count: int) -> list[Element]:
    return [
        {
            "resourceType": "Practitioner",
            "id": f"practitioner-{number:02d}",
            "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": f"99999{number:05d}"}],
            "active": True,
            "name": [{"family": f"Sampledoctor-{number:02d}", "given": ["Synthetic"], "prefix": ["Dr."]}],
            "gender": ("female", "male", "other", "unknown")[number % 4],
        }
        for number in range(1, count + 1)
    ]


def roles(
    practitioners: list[Element], organizations: list[Element], locations: list[Element]
) -> list[Element]:
    return [
        {
            "resourceType": "PractitionerRole",
            "id": f"role-{number:02d}",
            "active": True,
            "practitioner": reference(practitioner),
            "organization": reference(organizations[number % len(organizations)]),
            "location": [reference(locations[number % len(locations)])],
            "code": [concept(f"{TERMINOLOGY}/practitioner-role", "doctor", "Doctor")],
            "specialty": [concept(SNOMED, "394814009", "General practice (specialty)")],
        }
        for number, practitioner in enumerate(practitioners, start=1)
    ]


def patients(random: Random, count: int, practitioners: list[Element]) -> list[Element]:
    return [_patient(random, number, practitioners) for number in range(1, count + 1)]


def _patient(random: Random, number: int, practitioners: list[Element]) -> Element:
    gender = random.choice(("female", "male", "other", "unknown"))
    language, spoken = random.choice(LANGUAGES)
    family = f"Testpatient-{number:04d}"
    patient: dict[str, Any] = {
        "resourceType": "Patient",
        "id": f"patient-{number:04d}",
        "text": narrative(f"Synthetic {family}, made up for tests."),
        "extension": [
            {"url": BIRTH_SEX, "valueCode": random.choice(("F", "M", "UNK"))},
            {
                "url": f"{EXAMPLE}/StructureDefinition/risk-score",
                "valueDecimal": decimal(f"{random.random():.2f}0"),
            },
        ],
        "identifier": [identifier("patients", f"MRN-{number:06d}")],
        "active": number % 17 != 0,
        "name": [{"use": "official", "family": family, "given": ["Synthetic", f"Näme-{number:04d}"]}],
        "telecom": [_telephone(number)],
        "gender": gender,
        "birthDate": f"{random.randint(1930, 2020)}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}",
        "address": [_address(number)],
        "communication": [
            {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": language}], "text": spoken}}
        ],
        "generalPractitioner": [reference(random.choice(practitioners))],
    }
    if number % 23 == 0:
        patient["deceasedBoolean"] = True
    if number % 10 == 0:
        patient["multipleBirthInteger"] = 2
    return patient


def _telephone(number: int) -> Element:
    return {"system": "phone", "value": f"+1-555-0{100 + number % 100}", "use": "work"}


def _address(number: int) -> Element:
    return {
        "line": [f"{number} Example Street"],
        "city": "Sampletown",
        "state": "MA",
        "postalCode": f"0{1000 + number}",
        "country": "US",
    }
