"""Observations with every kind of value that is easily mishandled, and the reports that gather them."""

from random import Random
from typing import Any

from local.sample_data.clinical import YEAR
from local.sample_data.elements import (
    EXAMPLE,
    LOINC,
    SNOMED,
    TERMINOLOGY,
    UCUM,
    Element,
    concept,
    instant,
    narrative,
    reference,
)
from local.sample_data.exact_json import decimal

# LOINC code, name, unit, lowest value, highest value, decimals (trailing zeros are kept)
QUANTITIES = (
    ("8480-6", "Systolic blood pressure", "mm[Hg]", 90, 180, 1),
    ("29463-7", "Body weight", "kg", 40, 130, 2),
    ("8302-2", "Body height", "cm", 140, 205, 1),
    ("2339-0", "Glucose [Mass/volume] in Blood", "mg/dL", 60, 250, 2),
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", "mg/dL", 0, 3, 4),
)


def observations(random: Random, patient: Element, encounters: list[Element], count: int) -> list[Element]:
    return [_observation(random, patient, encounters, number) for number in range(1, count + 1)]


def _observation(random: Random, patient: Element, encounters: list[Element], number: int) -> Element:
    observed: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"observation-{patient['id'][-4:]}-{number:02d}",
        "status": random.choice(("final", "amended", "preliminary")),
        "category": [concept(f"{TERMINOLOGY}/observation-category", "laboratory", "Laboratory")],
        "subject": reference(patient),
        "encounter": reference(random.choice(encounters)),
        "effectiveDateTime": instant(random.randrange(YEAR)),
        "issued": instant(YEAR),
    }
    build = (_blood_pressure, _coded, _text, _absent, _with_device)
    kind = number % 10
    return observed | (build[kind](random) if kind < len(build) else _quantity(random))


def _quantity(random: Random) -> Element:
    code, display, unit, low, high, digits = random.choice(QUANTITIES)
    value = f"{random.uniform(low, high):.{digits}f}"
    # every third ends in zeros, which a float would drop
    value = f"{value[:-1]}0" if random.randrange(3) == 0 else value
    return {
        "code": concept(LOINC, code, display),
        "valueQuantity": {"value": decimal(value), "unit": unit, "system": UCUM, "code": unit},
        "referenceRange": [{"low": {"value": low, "unit": unit}, "high": {"value": high, "unit": unit}}],
    }


def _blood_pressure(random: Random) -> Element:
    def part(code: str, display: str, low: int, high: int) -> Element:
        value = {"value": random.randint(low, high), "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}
        return {"code": concept(LOINC, code, display), "valueQuantity": value}

    return {
        "code": concept(LOINC, "85354-9", "Blood pressure panel"),
        "component": [
            part("8480-6", "Systolic blood pressure", 90, 180),
            part("8462-4", "Diastolic blood pressure", 50, 110),
        ],
    }


def _coded(random: Random) -> Element:
    code, display = random.choice((("266919005", "Never smoked tobacco"), ("8517006", "Ex-smoker")))
    return {
        "code": concept(LOINC, "72166-2", "Tobacco smoking status"),
        "valueCodeableConcept": concept(SNOMED, code, display),
    }


def _text(random: Random) -> Element:
    return {
        "code": concept(LOINC, "8251-1", "General comments"),
        "valueString": f'No pain «{random.randint(1, 9)} of 10» – naïve, 日本語, \U0001f642 and a \\ "quote"',
    }


def _absent(_random: Random) -> Element:
    return {
        "code": concept(LOINC, "2339-0", "Glucose [Mass/volume] in Blood"),
        "dataAbsentReason": concept(f"{TERMINOLOGY}/data-absent-reason", "not-performed", "Not Performed"),
    }


def _with_device(random: Random) -> Element:
    return {
        "contained": [
            {
                "resourceType": "Device",
                "id": "device",
                "deviceName": [{"name": f"Sample Meter {random.randint(1, 9)}", "type": "model-name"}],
            }
        ],
        "extension": [{"url": f"{EXAMPLE}/StructureDefinition/drift", "valueDecimal": decimal("1.10")}],
        "code": concept(LOINC, "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
        "device": {"reference": "#device"},
        "valueQuantity": {"value": decimal("97.0"), "unit": "%", "system": UCUM, "code": "%"},
    }


def reports(random: Random, patient: Element, observations: list[Element], count: int) -> list[Element]:
    """Diagnostic reports, each over some of the patient's observations."""
    return [
        {
            "resourceType": "DiagnosticReport",
            "id": f"diagnosticreport-{patient['id'][-4:]}-{number}",
            "text": narrative("Panel of laboratory values, synthetic.\n" + "Within what was expected. " * 20),
            "status": "final",
            "code": concept(LOINC, "24323-8", "Comprehensive metabolic panel"),
            "subject": reference(patient),
            "effectivePeriod": {"start": instant(random.randrange(YEAR)), "end": instant(YEAR)},
            "issued": instant(YEAR),
            "result": [reference(chosen) for chosen in random.sample(observations, 4)],
            "conclusion": "Nothing to report.",
        }
        for number in range(1, count + 1)
    ]
