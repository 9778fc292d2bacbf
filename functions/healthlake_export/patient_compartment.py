"""The FHIR R4 patient compartment: which elements of which resources may name a patient.

Follows HL7 FHIR R4 «CompartmentDefinition: patient» (4.0.1) and the expressions of the search parameters
that it names. A path lists the members that lead to a Reference; `[]` marks those that repeat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

COMPARTMENT: Mapping[str, Mapping[str, str]] = {
    "Account": {"subject": "subject[]"},
    "AdverseEvent": {"subject": "subject"},
    "AllergyIntolerance": {"patient": "patient", "recorder": "recorder", "asserter": "asserter"},
    "Appointment": {"actor": "participant[].actor"},
    "AppointmentResponse": {"actor": "actor"},
    "AuditEvent": {"patient": "agent[].who entity[].what"},
    "Basic": {"patient": "subject", "author": "author"},
    "BodyStructure": {"patient": "patient"},
    "CarePlan": {"patient": "subject", "performer": "activity[].detail.performer[]"},
    "CareTeam": {"patient": "subject", "participant": "participant[].member"},
    "ChargeItem": {"subject": "subject"},
    "Claim": {"patient": "patient", "payee": "payee.party"},
    "ClaimResponse": {"patient": "patient"},
    "ClinicalImpression": {"subject": "subject"},
    "Communication": {"subject": "subject", "sender": "sender", "recipient": "recipient[]"},
    "CommunicationRequest": {
        "subject": "subject",
        "sender": "sender",
        "recipient": "recipient[]",
        "requester": "requester",
    },
    "Composition": {"subject": "subject", "author": "author[]", "attester": "attester[].party"},
    "Condition": {"patient": "subject", "asserter": "asserter"},
    "Consent": {"patient": "patient"},
    "Coverage": {
        "policy-holder": "policyHolder",
        "subscriber": "subscriber",
        "beneficiary": "beneficiary",
        "payor": "payor[]",
    },
    "CoverageEligibilityRequest": {"patient": "patient"},
    "CoverageEligibilityResponse": {"patient": "patient"},
    "DetectedIssue": {"patient": "patient"},
    "DeviceRequest": {"subject": "subject", "performer": "performer"},
    "DeviceUseStatement": {"subject": "subject"},
    "DiagnosticReport": {"subject": "subject"},
    "DocumentManifest": {"subject": "subject", "author": "author[]", "recipient": "recipient[]"},
    "DocumentReference": {"subject": "subject", "author": "author[]"},
    "Encounter": {"subject": "subject"},
    "EnrollmentRequest": {"subject": "candidate"},
    "EpisodeOfCare": {"patient": "patient"},
    "ExplanationOfBenefit": {"patient": "patient", "payee": "payee.party"},
    "FamilyMemberHistory": {"patient": "patient"},
    "Flag": {"patient": "subject"},
    "Goal": {"patient": "subject"},
    "Group": {"member": "member[].entity"},
    "ImagingStudy": {"patient": "subject"},
    "Immunization": {"patient": "patient"},
    "ImmunizationEvaluation": {"patient": "patient"},
    "ImmunizationRecommendation": {"patient": "patient"},
    "Invoice": {"subject": "subject", "patient": "subject", "recipient": "recipient"},
    "List": {"subject": "subject", "source": "source"},
    "MeasureReport": {"patient": "subject"},
    "Media": {"subject": "subject"},
    "MedicationAdministration": {
        "patient": "subject",
        "performer": "performer[].actor",
        "subject": "subject",
    },
    "MedicationDispense": {"subject": "subject", "patient": "subject", "receiver": "receiver[]"},
    "MedicationRequest": {"subject": "subject"},
    "MedicationStatement": {"subject": "subject"},
    "MolecularSequence": {"patient": "patient"},
    "NutritionOrder": {"patient": "patient"},
    "Observation": {"subject": "subject", "performer": "performer[]"},
    "Patient": {"link": "link[].other"},
    "Person": {"patient": "link[].target"},
    "Procedure": {"patient": "subject", "performer": "performer[].actor"},
    "Provenance": {"patient": "target[]"},
    "QuestionnaireResponse": {"subject": "subject", "author": "author"},
    "RelatedPerson": {"patient": "patient"},
    "RequestGroup": {"subject": "subject", "participant": "action[].participant[]"},
    "ResearchSubject": {"individual": "individual"},
    "RiskAssessment": {"subject": "subject"},
    "Schedule": {"actor": "actor[]"},
    "ServiceRequest": {"subject": "subject", "performer": "performer[]"},
    "Specimen": {"subject": "subject"},
    "SupplyDelivery": {"patient": "patient"},
    "SupplyRequest": {"subject": "deliverTo"},
    "Task": {"patient": "for", "focus": "focus"},
    "VisionPrescription": {"patient": "patient"},
}
"""Resource type -> search parameter of the definition -> the paths that it searches, one after the other."""

BESIDE_THE_COMPARTMENT: Mapping[str, str] = {
    "BiologicallyDerivedProduct": "collection.source",
    "Contract": "subject[] signer[].party",
    "Device": "patient",
    "GuidanceResponse": "subject",
}
"""Resource type -> paths by which R4 says whose resource it is, of types that the definition leaves out.
Who erases a patient, or looks for what is theirs, means the implanted device as well."""

_PATIENT = re.compile(
    r"""
    (?: [^?#|]* / )?  Patient /                     # relative, or on any server
    ( [^/?#|\s]+ )
    (?: /_history (?: /[^?#|]* )? )?  (?: [#|] .* )?  # a version of it, or something within it
    """,
    re.VERBOSE,
)


def patient_id(reference: str) -> str | None:
    """The id of the patient whom `Reference.reference` names; None when it names somebody or something
    else, nothing that can be told without a search, or what is contained (R4 «References»)."""
    found = _PATIENT.fullmatch(reference)
    return found[1] if found else None


def reference_paths(resource_type: str) -> tuple[str, ...]:
    """The paths to the references of a resource of this type that may name a patient, each once, in the
    table's order. A Patient names itself by its id besides."""
    texts = [*COMPARTMENT.get(resource_type, {}).values(), BESIDE_THE_COMPARTMENT.get(resource_type, "")]
    return tuple(dict.fromkeys(path for text in texts for path in text.split()))
