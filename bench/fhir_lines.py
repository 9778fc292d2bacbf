"""Synthetic FHIR R4 resources as lines of NDJSON: shaped like Synthea's, stamped as HealthLake exports them.

Made for benchmarks: the same for the same seed, quick to make, and with as much that differs from line to
line (ids, names, dates, values) as real resources have. Repeated records would compress thirtyfold and make
every writer look faster than it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

import msgspec

PEOPLE = 4000
"""Patients that other resources refer to."""

Element = dict[str, Any]

_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"
_CODES = "http://terminology.hl7.org/CodeSystem"
_SYNTHEA = "https://github.com/synthetichealth/synthea"
_SNOMED = "http://snomed.info/sct"
_SYLLABLES = ("ab", "ber", "cor", "dan", "er", "fra", "gu", "hil", "in", "jo", "ken", "lu", "mar", "no", "ot")

_UNACCENTED = 0.98
"""Of names. One letter past ASCII is enough for a whole block of lines to be looked at more closely."""

_MEASURED = (
    # code, display, unit, lowest, highest, digits after the point, whether it is a vital sign
    ("8302-2", "Body Height", "cm", 140, 205, 1, True),
    ("29463-7", "Body Weight", "kg", 40, 140, 1, True),
    ("39156-5", "Body mass index (BMI) [Ratio]", "kg/m2", 16, 45, 2, True),
    ("8867-4", "Heart rate", "/min", 48, 140, 0, True),
    ("9279-1", "Respiratory rate", "/min", 10, 30, 0, True),
    ("2339-0", "Glucose [Mass/volume] in Blood", "mg/dL", 60, 300, 2, False),
    ("6299-2", "Urea nitrogen [Mass/volume] in Blood", "mg/dL", 5, 40, 2, False),
    ("38483-4", "Creatinine [Mass/volume] in Blood", "mg/dL", 0, 4, 3, False),
    ("2947-0", "Sodium [Moles/volume] in Blood", "mmol/L", 130, 150, 2, False),
    ("6298-4", "Potassium [Moles/volume] in Blood", "mmol/L", 3, 6, 3, False),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", 4, 12, 2, False),
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", 120, 320, 1, False),
)
_CONDITIONS = (
    ("46177005", "End-stage renal disease (disorder)"),
    ("44054006", "Diabetes mellitus type 2 (disorder)"),
    ("59621000", "Essential hypertension (disorder)"),
    ("444814009", "Viral sinusitis (disorder)"),
    ("195662009", "Acute viral pharyngitis (disorder)"),
)
_PROCEDURES = (
    ("430193006", "Medication Reconciliation (procedure)"),
    ("710824005", "Assessment of health and social care needs (procedure)"),
    ("171207006", "Depression screening (procedure)"),
    ("265764009", "Renal dialysis (procedure)"),
)
_DRUGS = (
    ("314076", "lisinopril 10 MG Oral Tablet"),
    ("860975", "24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet"),
    ("312961", "Simvastatin 20 MG Oral Tablet"),
    ("310798", "Hydrochlorothiazide 25 MG Oral Tablet"),
)

_encode = msgspec.json.Encoder().encode


class _Visit(NamedTuple):
    """What the resources of one encounter have in common."""

    patient: str
    name: str
    encounter: str
    begin: str
    end: str


class FhirLines:
    """Endless lines, each with its newline, that depend on the seed only."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - data, and no secret
        self._stamped = 0
        self._people = [(self._uuid(), f"{self._name()} {self._name()}") for _ in range(PEOPLE)]
        self._kinds = {
            self._observation: 38,
            self._procedure: 14,
            self._medication_request: 12,
            self._encounter: 12,
            self._document_reference: 9,
            self._condition: 9,
            self._immunization: 4,
            self._patient: 2,
        }

    def observations(self) -> Iterator[bytes]:
        """Observations, a few of each encounter after one another."""
        while True:
            visit = self._visit()
            for _ in range(self._random.randint(1, 4)):
                yield self._stamp(self._observation(visit))

    def patients(self) -> Iterator[bytes]:
        """Patients with what US Core asks for."""
        while True:
            yield self._stamp(self._patient(self._visit()))

    def mixed(self) -> Iterator[bytes]:
        """Resources of eight types, about as many of each as a population has, in random order."""
        kinds, weights = list(self._kinds), list(self._kinds.values())
        while True:
            (make,) = self._random.choices(kinds, weights)
            yield self._stamp(make(self._visit()))

    def _stamp(self, resource: Element) -> bytes:
        """The line of a resource with an id of its own and the meta that a server gives."""
        self._stamped += 1
        day = 1 + self._stamped // 40_000 % 20
        profile = f"us-core-{resource['resourceType'].lower()}"
        stamped = {
            "resourceType": resource.pop("resourceType"),
            "id": self._uuid(),
            "meta": {
                "versionId": str(max(1, self._random.randint(-8, 6))),
                "lastUpdated": f"2026-11-{day:02d}T{self._time(milliseconds=True)}Z",
                "profile": [f"{_US_CORE}/{profile}"],
            },
            **resource,
        }
        return _encode(stamped) + b"\n"

    def _observation(self, visit: _Visit) -> Element:
        code, display, unit, lowest, highest, digits, vital = self._random.choice(_MEASURED)
        kind = ("vital-signs", "Vital signs") if vital else ("laboratory", "Laboratory")
        return {
            "resourceType": "Observation",
            "status": "final",
            "category": [_concept(f"{_CODES}/observation-category", *kind)],
            "code": _concept("http://loinc.org", code, display),
            **_of(visit),
            "effectiveDateTime": visit.begin,
            "issued": f"{visit.begin[:19]}.{self._digits(3)}-04:00",
            "valueQuantity": {
                "value": _number(f"{self._random.uniform(lowest, highest):.{digits}f}"),
                "unit": unit,
                "system": "http://unitsofmeasure.org",
                "code": unit,
            },
        }

    def _condition(self, visit: _Visit) -> Element:
        status = self._random.choice(("active", "resolved"))
        return {
            "resourceType": "Condition",
            "clinicalStatus": _concept(f"{_CODES}/condition-clinical", status),
            "verificationStatus": _concept(f"{_CODES}/condition-ver-status", "confirmed"),
            "category": [
                _concept(f"{_CODES}/condition-category", "encounter-diagnosis", "Encounter Diagnosis")
            ],
            "code": _concept(_SNOMED, *self._random.choice(_CONDITIONS)),
            **_of(visit),
            "onsetDateTime": visit.begin,
            "recordedDate": visit.begin,
        }

    def _procedure(self, visit: _Visit) -> Element:
        return {
            "resourceType": "Procedure",
            "status": "completed",
            "code": _concept(_SNOMED, *self._random.choice(_PROCEDURES)),
            **_of(visit),
            "performedPeriod": _period(visit),
            "location": self._place("Location"),
        }

    def _encounter(self, visit: _Visit) -> Element:
        performer = _concept(f"{_CODES}/v3-ParticipationType", "PPRF", "primary performer")
        participant = {"type": [performer], "period": _period(visit), "individual": self._doctor()}
        return {
            "resourceType": "Encounter",
            "identifier": [{"use": "official", "system": _SYNTHEA, "value": visit.encounter}],
            "status": "finished",
            "class": {"system": f"{_CODES}/v3-ActCode", "code": self._random.choice(("AMB", "EMER", "IMP"))},
            "type": [_concept(_SNOMED, "185347001", "Encounter for problem (procedure)")],
            "subject": {"reference": f"Patient/{visit.patient}", "display": visit.name},
            "participant": [participant],
            "period": _period(visit),
            "location": [{"location": self._place("Location")}],
            "serviceProvider": self._place("Organization"),
        }

    def _medication_request(self, visit: _Visit) -> Element:
        repeat = {"frequency": self._random.randint(1, 4), "period": _number("1.0"), "periodUnit": "d"}
        dose = {
            "type": _concept(f"{_CODES}/dose-rate-type", "ordered", "Ordered"),
            "doseQuantity": {"value": _number(self._random.choice(("1.0", "2.0", "0.50")))},
        }
        return {
            "resourceType": "MedicationRequest",
            "status": self._random.choice(("stopped", "active")),
            "intent": "order",
            "category": [_concept(f"{_CODES}/medicationrequest-category", "community", "Community")],
            "medicationCodeableConcept": _concept(
                "http://www.nlm.nih.gov/research/umls/rxnorm", *self._random.choice(_DRUGS)
            ),
            **_of(visit),
            "authoredOn": visit.begin,
            "requester": self._doctor(),
            "dosageInstruction": [
                {"sequence": 1, "timing": {"repeat": repeat}, "asNeededBoolean": False, "doseAndRate": [dose]}
            ],
        }

    def _immunization(self, visit: _Visit) -> Element:
        return {
            "resourceType": "Immunization",
            "status": "completed",
            "vaccineCode": _concept("http://hl7.org/fhir/sid/cvx", "140", "Influenza, seasonal, injectable"),
            "patient": {"reference": f"Patient/{visit.patient}"},
            "encounter": {"reference": f"Encounter/{visit.encounter}"},
            "occurrenceDateTime": visit.begin,
            "primarySource": True,
            "location": self._place("Location"),
        }

    def _document_reference(self, visit: _Visit) -> Element:
        """With a note of one to three kilobytes in base64, as attachments are."""
        note = self._random.randbytes(
            150
        ).hex() + "IyBDaGllZiBDb21wbGFpbnQKLSBDb3VnaAoK" * self._random.randint(20, 70)
        attachment = {"contentType": "text/plain; charset=utf-8", "data": note}
        return {
            "resourceType": "DocumentReference",
            "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{self._uuid()}"}],
            "status": "superseded",
            "type": _concept("http://loinc.org", "34117-2", "History and physical note"),
            "subject": {"reference": f"Patient/{visit.patient}"},
            "date": visit.begin,
            "author": [self._doctor()],
            "custodian": self._place("Organization"),
            "content": [{"attachment": attachment}],
            "context": {
                "encounter": [{"reference": f"Encounter/{visit.encounter}"}],
                "period": _period(visit),
            },
        }

    def _patient(self, _visit: _Visit) -> Element:
        gender, birth_sex = self._random.choice((("female", "F"), ("male", "M")))
        return {
            "resourceType": "Patient",
            "text": {"status": "generated", "div": self._narrative()},
            "extension": self._extensions(birth_sex),
            "identifier": [{"system": _SYNTHEA, "value": self._uuid()}, *self._identifiers()],
            "name": [
                {
                    "use": use,
                    "family": self._name(),
                    "given": [self._name(), self._name()],
                    "prefix": ["Mx."],
                }
                for use in ("official", "maiden")
            ],
            "telecom": [{"system": "phone", "value": f"555-{self._digits(3)}-{self._digits(4)}"}],
            "gender": gender,
            "birthDate": self._day(),
            "address": [self._address()],
            "maritalStatus": _concept(f"{_CODES}/v3-MaritalStatus", "M", "Married"),
            "multipleBirthBoolean": False,
            "communication": [{"language": _concept("urn:ietf:bcp:47", "en-US", "English (United States)")}],
        }

    def _narrative(self) -> str:
        return (
            f'<div xmlns="http://www.w3.org/1999/xhtml">Generated by <a href="{_SYNTHEA}">Synthea</a>.'
            f"Version identifier: dd1e3be\n .   Person seed: {self._digits(19)}  Population seed: 54321</div>"
        )

    def _extensions(self, birth_sex: str) -> list[Element]:
        core, own = "http://hl7.org/fhir/StructureDefinition", "http://synthetichealth.github.io/synthea"
        born_in = {"city": self._name(), "state": "Kansas", "country": "US"}
        return [
            _coded_extension("race", "2106-3", "White"),
            _coded_extension("ethnicity", "2186-5", "Not Hispanic or Latino"),
            {"url": f"{core}/patient-mothersMaidenName", "valueString": f"{self._name()} {self._name()}"},
            {"url": f"{_US_CORE}/us-core-birthsex", "valueCode": birth_sex},
            {"url": f"{core}/patient-birthPlace", "valueAddress": born_in},
            {"url": f"{own}/disability-adjusted-life-years", "valueDecimal": self._random.uniform(0, 20)},
            {"url": f"{own}/quality-adjusted-life-years", "valueDecimal": self._random.uniform(0, 80)},
        ]

    def _identifiers(self) -> list[Element]:
        kinds = (
            ("MR", "Medical Record Number", "http://hospital.smarthealthit.org", self._uuid()),
            ("SS", "Social Security Number", "http://hl7.org/fhir/sid/us-ssn", f"999-{self._digits(6)}"),
            ("DL", "Driver's license number", "urn:oid:2.16.840.1.113883.4.3.25", f"S{self._digits(8)}"),
            ("PPN", "Passport Number", f"{_SYNTHEA}/passportNumber", f"X{self._digits(8)}X"),
        )
        return [
            {"type": _concept(f"{_CODES}/v2-0203", code, display), "system": system, "value": value}
            for code, display, system, value in kinds
        ]

    def _address(self) -> Element:
        places = [
            {"url": "latitude", "valueDecimal": 37 + self._random.random()},
            {"url": "longitude", "valueDecimal": -97 - self._random.random()},
        ]
        url = "http://hl7.org/fhir/StructureDefinition/geolocation"
        return {
            "extension": [{"url": url, "extension": places}],
            "line": [f"{self._digits(3)} {self._name()} Landing"],
            "city": self._name(),
            "state": "KS",
            "postalCode": f"66{self._digits(3)}",
            "country": "US",
        }

    def _doctor(self) -> Element:
        npi = f"Practitioner?identifier=http://hl7.org/fhir/sid/us-npi|99999{self._digits(5)}"
        return {"reference": npi, "display": f"Dr. {self._name()} {self._name()}"}

    def _place(self, kind: str) -> Element:
        number = self._random.randrange(300)
        identifier = f"{number * 2654435761:08x}-7bd6-30bf-85a9-a37d{number * 40503:08x}"
        return {
            "reference": f"{kind}?identifier={_SYNTHEA}|{identifier}",
            "display": f"COUNTY HOSPITAL {number}",
        }

    def _visit(self) -> _Visit:
        patient, name = self._random.choice(self._people)
        day, hour = self._day(), self._time()[:5]
        begin, end = sorted(f"{day}T{hour}:{self._random.randint(0, 59):02d}-04:00" for _ in range(2))
        return _Visit(patient, name, self._uuid(), begin, end)

    def _name(self) -> str:
        """A word with a number behind it, as Synthea marks names that it made up."""
        ending = "" if self._random.random() < _UNACCENTED else "é"
        return "".join(self._random.choices(_SYLLABLES, k=3)).title() + ending + self._digits(3)

    def _day(self) -> str:
        random = self._random
        return f"{random.randint(1925, 2026)}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}"

    def _time(self, *, milliseconds: bool = False) -> str:
        at = self._random.randrange(24 * 3600 * 1000)
        time = f"{at // 3_600_000:02d}:{at // 60_000 % 60:02d}:{at // 1000 % 60:02d}"
        return f"{time}.{at % 1000:03d}" if milliseconds else time

    def _digits(self, count: int) -> str:
        return f"{self._random.randrange(10**count):0{count}d}"

    def _uuid(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _concept(system: str, code: str, display: str | None = None) -> Element:
    if display is None:
        return {"coding": [{"system": system, "code": code}]}
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def _coded_extension(name: str, code: str, display: str) -> Element:
    coding = {"system": "urn:oid:2.16.840.1.113883.6.238", "code": code, "display": display}
    parts = [{"url": "ombCategory", "valueCoding": coding}, {"url": "text", "valueString": display}]
    return {"url": f"{_US_CORE}/us-core-{name}", "extension": parts}


def _of(visit: _Visit) -> Element:
    return {
        "subject": {"reference": f"Patient/{visit.patient}"},
        "encounter": {"reference": f"Encounter/{visit.encounter}"},
    }


def _period(visit: _Visit) -> Element:
    return {"start": visit.begin, "end": visit.end}


def _number(digits: str) -> msgspec.Raw:
    """A number with just these digits: FHIR's decimals keep their trailing zeros."""
    return msgspec.Raw(digits.encode())
