"""What of a patient is in a text: resources of the patient, resources that refer to the patient, words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from healthlake_export import erasures
from healthlake_export.compartment_keys import KeyReader, patient_ids
from healthlake_export.resource_keys import Rejection, ResourceKeys

# FHIR R4, «id».
_PATIENT_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")


class Concern(StrEnum):
    """Why a text concerns the patient. A mention is only told of; whatever else is erased."""

    COMPARTMENT = "compartment"
    REFERENCE = "reference"
    UNREADABLE = "unreadable"
    MENTION = "mention"


@dataclass(frozen=True)
class Match:
    """That a text concerns the patient: `resource` is its type and id, where it can be read; `shared` says
    that it is of other patients as well."""

    concern: Concern
    resource: str | None = None
    shared: bool = False

    @property
    def erases(self) -> bool:
        """Whether the text has to go."""
        return self.concern is not Concern.MENTION


def is_patient_id(text: str) -> bool:
    """Whether a patient can have this id."""
    return _PATIENT_ID.fullmatch(text) is not None


class Matcher:
    """Says of texts whether they concern one patient. Not for use from several threads at once."""

    def __init__(self, patient_id: str) -> None:
        self.patient_id = patient_id
        self._erased = frozenset({patient_id})
        self._keys = KeyReader()
        identity = patient_id.encode()
        # UTF-16 has a zero before or after each of these characters.
        self._traces = (identity, b"\0".join(bytes([one]) for one in identity), b"\\u00")
        self._words = re.compile(
            rb"(?:Patient/|urn:uuid:)%b(?![A-Za-z0-9-]|\.[A-Za-z0-9])" % re.escape(identity)
        )

    @property
    def longest_trace(self) -> int:
        """Bytes that a trace of the patient may take."""
        return max(map(len, self._traces))

    def suspects(self, content: bytes) -> bool:
        """Whether the content may concern the patient; quick, and never wrong where it says no."""
        return any(trace in content for trace in self._traces)

    def of_line(self, text: bytes) -> Match | None:
        """Whether a line of an export concerns the patient."""
        if not self.suspects(text):
            return None
        keys = self._keys.read(text)
        if isinstance(keys, Rejection):
            return Match(Concern.UNREADABLE) if erasures.mentions(text, self._erased) else None
        return self._of_resource(keys, patient_ids(keys), text)

    def of_row(self, patients: Sequence[str], text: bytes) -> Match | None:
        """As `of_line`, of a row of the lake, which has its patients in a column as well."""
        found = self.of_line(text)
        if self.patient_id in patients and (found is None or not found.erases):
            resource = found.resource if found else None
            return Match(Concern.COMPARTMENT, resource, shared=len(set(patients)) > 1)
        return found

    def of_text(self, text: bytes) -> Match | None:
        """Whether a text of any kind names the patient."""
        return Match(Concern.UNREADABLE) if erasures.mentions(text, self._erased) else None

    def _of_resource(self, keys: ResourceKeys, patients: Sequence[str], text: bytes) -> Match | None:
        resource = f"{keys.resourceType}/{keys.id}"
        if self.patient_id in patients or resource == f"Patient/{self.patient_id}":
            return Match(Concern.COMPARTMENT, resource, shared=len(patients) > 1)
        if erasures.refers(text, self._erased):
            return Match(Concern.REFERENCE, resource, shared=bool(patients))
        if self._words.search(text):
            return Match(Concern.MENTION, resource)
        return None
