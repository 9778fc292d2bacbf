"""Documents with long narratives, one of them larger than an event may be."""

import base64
from random import Random

from local.sample_data.clinical import YEAR
from local.sample_data.elements import LOINC, Element, concept, instant, narrative, reference

SENTENCES = (
    "The synthetic patient was seen and felt well.",
    "No findings were made up beyond those listed.",
    "Medication was reviewed and left as it is.",
    "Follow-up in six months, or earlier in case of trouble.",
)
# Past MaxInlineBytes (200 KB) and below what a single resource may weigh anywhere on the way.
LARGE_NARRATIVE_BYTES = 300_000


def documents(random: Random, patient: Element, encounters: list[Element]) -> list[Element]:
    text = " ".join(random.choice(SENTENCES) for _ in range(random.randint(20, 200)))
    return [_document(patient, encounters[0], "1", text)]


def large_document(patient: Element, encounters: list[Element]) -> Element:
    """A document whose narrative alone is larger than an event with the resource in it may be."""
    paragraph = " ".join(SENTENCES)
    return _document(
        patient, encounters[0], "large", "\n".join([paragraph] * (LARGE_NARRATIVE_BYTES // len(paragraph)))
    )


def _document(patient: Element, encounter: Element, name: str, text: str) -> Element:
    return {
        "resourceType": "DocumentReference",
        "id": f"documentreference-{patient['id'][-4:]}-{name}",
        "text": narrative(text),
        "status": "current",
        "type": concept(LOINC, "34133-9", "Summary of episode note"),
        "subject": reference(patient),
        "date": instant(YEAR),
        "author": [patient["generalPractitioner"][0]],
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    "data": base64.b64encode(text[:600].encode()).decode(),
                    "title": "Visit note",
                }
            }
        ],
        "context": {"encounter": [reference(encounter)]},
    }
