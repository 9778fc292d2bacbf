"""What happened to patients: encounters, conditions, procedures, medication, immunizations, allergies."""

from random import Random
from typing import Any

from local.sample_data.elements import (
    CVX,
    EXAMPLE,
    RXNORM,
    SNOMED,
    TERMINOLOGY,
    UCUM,
    Element,
    concept,
    day,
    identifier,
    instant,
    reference,
    status,
)
from local.sample_data.exact_json import decimal

CONDITIONS = (
    ("44054006", "Diabetes mellitus type 2"),
    ("38341003", "Hypertensive disorder"),
    ("195967001", "Asthma"),
    ("55822004", "Hyperlipidemia"),
)
PROCEDURES = (("80146002", "Appendectomy"), ("73761001", "Colonoscopy"), ("268400002", "12 lead ECG"))
MEDICATIONS = (
    ("860975", "metformin 500 MG"),
    ("314076", "lisinopril 10 MG"),
    ("617310", "atorvastatin 20 MG"),
)
VACCINES = (("140", "Influenza, seasonal, injectable"), ("115", "Tdap"), ("208", "COVID-19, mRNA"))
ALLERGENS = (("91935009", "Allergy to peanut"), ("294505008", "Allergy to amoxicillin"))
YEAR = 365 * 24 * 60


def encounters(random: Random, patient: Element, count: int, locations: list[Element]) -> list[Element]:
    found = []
    for number in range(1, count + 1):
        start = random.randrange(YEAR)
        found.append(
            {
                "resourceType": "Encounter",
                "id": f"encounter-{patient['id'][-4:]}-{number}",
                "status": "finished",
                "class": {
                    "system": f"{TERMINOLOGY}/v3-ActCode",
                    "code": random.choice(("AMB", "EMER", "IMP")),
                },
                "type": [concept(SNOMED, "185349003", "Encounter for check up")],
                "subject": reference(patient),
                "participant": [{"individual": patient["generalPractitioner"][0]}],
                "period": {"start": instant(start), "end": instant(start + random.randint(10, 300))},
                "location": [{"location": reference(random.choice(locations))}],
            }
        )
    return found


def conditions(random: Random, patient: Element, encounters: list[Element], count: int) -> list[Element]:
    return [
        {
            "resourceType": "Condition",
            "id": f"condition-{patient['id'][-4:]}-{number}",
            "clinicalStatus": status("condition-clinical", random.choice(("active", "resolved"))),
            "verificationStatus": status("condition-ver-status", "confirmed"),
            "category": [concept(f"{TERMINOLOGY}/condition-category", "encounter-diagnosis", "Diagnosis")],
            "code": concept(SNOMED, *random.choice(CONDITIONS)),
            "subject": reference(patient),
            "encounter": reference(random.choice(encounters)),
            **_onset(random, number),
        }
        for number in range(1, count + 1)
    ]


def _onset(random: Random, number: int) -> Element:
    """One of the choices of onset[x]."""
    years = random.randint(1, 60)
    choices: tuple[Element, ...] = (
        {"onsetDateTime": instant(random.randrange(YEAR))},
        {"onsetAge": {"value": years, "unit": "a", "system": UCUM, "code": "a"}},
        {"onsetString": "in childhood, as the patient recalls"},
    )
    return choices[number % len(choices)]


def procedures(random: Random, patient: Element, encounters: list[Element], count: int) -> list[Element]:
    found = []
    for number in range(1, count + 1):
        start = random.randrange(YEAR)
        found.append(
            {
                "resourceType": "Procedure",
                "id": f"procedure-{patient['id'][-4:]}-{number}",
                "status": "completed",
                "code": concept(SNOMED, *random.choice(PROCEDURES)),
                "subject": reference(patient),
                "encounter": reference(random.choice(encounters)),
                "performedPeriod": {"start": instant(start), "end": instant(start + 45)},
            }
        )
    return found


def medication_requests(
    random: Random, patient: Element, encounters: list[Element], count: int
) -> list[Element]:
    """Requests for medication; every second one carries its Medication as a contained resource."""
    return [_medication_request(random, patient, encounters, number) for number in range(1, count + 1)]


def _medication_request(random: Random, patient: Element, encounters: list[Element], number: int) -> Element:
    code, display = random.choice(MEDICATIONS)
    request: dict[str, Any] = {
        "resourceType": "MedicationRequest",
        "id": f"medicationrequest-{patient['id'][-4:]}-{number}",
        "status": random.choice(("active", "completed", "stopped")),
        "intent": "order",
        "subject": reference(patient),
        "encounter": reference(random.choice(encounters)),
        "authoredOn": instant(random.randrange(YEAR)),
        "requester": patient["generalPractitioner"][0],
        "dosageInstruction": [
            {
                "text": "one tablet in the morning, a half at night",
                "doseAndRate": [{"doseQuantity": {"value": decimal("1.50"), "unit": "tablet"}}],
            }
        ],
    }
    if number % 2:
        request["medicationCodeableConcept"] = concept(RXNORM, code, display)
    else:
        request["contained"] = [
            {"resourceType": "Medication", "id": "medication", "code": concept(RXNORM, code, display)}
        ]
        request["medicationReference"] = {"reference": "#medication"}
    return request


def immunizations(random: Random, patient: Element, count: int) -> list[Element]:
    return [
        {
            "resourceType": "Immunization",
            "id": f"immunization-{patient['id'][-4:]}-{number}",
            "status": "completed",
            "vaccineCode": concept(CVX, *random.choice(VACCINES)),
            "patient": reference(patient),
            "occurrenceDateTime": instant(random.randrange(YEAR)),
            "primarySource": bool(number % 2),
            "lotNumber": f"LOT-{random.randint(1000, 9999)}",
            "doseQuantity": {"value": decimal("0.50"), "unit": "mL", "system": UCUM, "code": "mL"},
        }
        for number in range(1, count + 1)
    ]


def allergies(random: Random, patient: Element) -> list[Element]:
    return [
        {
            "resourceType": "AllergyIntolerance",
            "id": f"allergyintolerance-{patient['id'][-4:]}-1",
            "identifier": [identifier("allergies", patient["id"])],
            "extension": [
                {"url": f"{EXAMPLE}/StructureDefinition/reported-by", "valueString": "the patient"}
            ],
            "clinicalStatus": status("allergyintolerance-clinical", "active"),
            "verificationStatus": status("allergyintolerance-verification", "confirmed"),
            "type": "allergy",
            "criticality": random.choice(("low", "high", "unable-to-assess")),
            "code": concept(SNOMED, *random.choice(ALLERGENS)),
            "patient": reference(patient),
            "recordedDate": day(random.randrange(YEAR)),
        }
    ]
