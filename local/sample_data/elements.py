"""Small FHIR elements that many resources contain.

FHIR R4: «Data Types» (CodeableConcept, Reference, Period, Narrative).
"""

from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
CVX = "http://hl7.org/fhir/sid/cvx"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
EXAMPLE = "http://example.org/healthlake-hub"

# Time in the sample data begins here and never looks at the clock.
EPOCH = datetime(2024, 1, 1, 8, 0, tzinfo=UTC)

Element = dict[str, Any]


def concept(system: str, code: str, display: str) -> Element:
    """A CodeableConcept with one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def status(system: str, code: str) -> Element:
    """A CodeableConcept of one of FHIR's own status systems."""
    return {"coding": [{"system": f"{TERMINOLOGY}/{system}", "code": code}]}


def reference(resource: Element, display: str = "") -> Element:
    """A literal Reference to a resource."""
    target = {"reference": f"{resource['resourceType']}/{resource['id']}"}
    return {**target, "display": display} if display else target


def narrative(text: str) -> Element:
    """A generated Narrative with the text in paragraphs."""
    paragraphs = "".join(f"<p>{escape(part)}</p>" for part in text.split("\n"))
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>'}


def instant(minutes: int) -> str:
    """The time so many minutes after the beginning of the sample data, as a FHIR dateTime."""
    return (EPOCH + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(minutes: int) -> str:
    """The day so many minutes after the beginning of the sample data, as a FHIR date."""
    return instant(minutes)[:10]


def identifier(kind: str, value: str) -> Element:
    return {"system": f"{EXAMPLE}/{kind}", "value": value}
