"""The table of the patient compartment against the definition of HL7 FHIR R4."""

from __future__ import annotations

import pytest

from healthlake_export.fhir_r4 import RESOURCE_TYPES
from healthlake_export.patient_compartment import (
    BESIDE_THE_COMPARTMENT,
    COMPARTMENT,
    patient_id,
    reference_paths,
)

DEFINITION = """
Account: subject
AdverseEvent: subject
AllergyIntolerance: patient recorder asserter
Appointment: actor
AppointmentResponse: actor
AuditEvent: patient
Basic: patient author
BodyStructure: patient
CarePlan: patient performer
CareTeam: patient participant
ChargeItem: subject
Claim: patient payee
ClaimResponse: patient
ClinicalImpression: subject
Communication: subject sender recipient
CommunicationRequest: subject sender recipient requester
Composition: subject author attester
Condition: patient asserter
Consent: patient
Coverage: policy-holder subscriber beneficiary payor
CoverageEligibilityRequest: patient
CoverageEligibilityResponse: patient
DetectedIssue: patient
DeviceRequest: subject performer
DeviceUseStatement: subject
DiagnosticReport: subject
DocumentManifest: subject author recipient
DocumentReference: subject author
Encounter: subject
EnrollmentRequest: subject
EpisodeOfCare: patient
ExplanationOfBenefit: patient payee
FamilyMemberHistory: patient
Flag: patient
Goal: patient
Group: member
ImagingStudy: patient
Immunization: patient
ImmunizationEvaluation: patient
ImmunizationRecommendation: patient
Invoice: subject patient recipient
List: subject source
MeasureReport: patient
Media: subject
MedicationAdministration: patient performer subject
MedicationDispense: subject patient receiver
MedicationRequest: subject
MedicationStatement: subject
MolecularSequence: patient
NutritionOrder: patient
Observation: subject performer
Patient: link
Person: patient
Procedure: patient performer
Provenance: patient
QuestionnaireResponse: subject author
RelatedPerson: patient
RequestGroup: subject participant
ResearchSubject: individual
RiskAssessment: subject
Schedule: actor
ServiceRequest: subject performer
Specimen: subject
SupplyDelivery: patient
SupplyRequest: subject
Task: patient focus
VisionPrescription: patient
"""
"""http://hl7.org/fhir/CompartmentDefinition/patient, version 4.0.1: each type with its search parameters."""


def test_the_table_has_every_type_and_parameter_of_the_definition_and_no_other() -> None:
    defined = {
        resource_type: params.split()
        for resource_type, params in (line.split(": ") for line in DEFINITION.strip().splitlines())
    }
    assert {resource_type: list(params) for resource_type, params in COMPARTMENT.items()} == defined
    assert len(defined) == 67


def test_what_the_definition_leaves_out_is_kept_apart_from_it() -> None:
    assert not set(BESIDE_THE_COMPARTMENT) & set(COMPARTMENT)
    assert set(BESIDE_THE_COMPARTMENT) | set(COMPARTMENT) < RESOURCE_TYPES


@pytest.mark.parametrize(
    ("resource_type", "paths"),
    [
        ("Observation", ("subject", "performer[]")),
        ("AuditEvent", ("agent[].who", "entity[].what")),
        ("Invoice", ("subject", "recipient")),
        ("Device", ("patient",)),
        ("Organization", ()),
        ("NoSuchType", ()),
    ],
)
def test_the_paths_of_a_type_are_listed_once_each(resource_type: str, paths: tuple[str, ...]) -> None:
    assert reference_paths(resource_type) == paths


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/123",
        "Patient/123/_history/2",
        "https://host/r4/Patient/123",
        "https://host:8443/a/Patient/r4/Patient/123/_history/2",
        "http://host/Patient/123#part",
        "Patient/123|2",
    ],
)
def test_a_reference_that_names_a_patient_gives_the_id(reference: str) -> None:
    assert patient_id(reference) == "123"


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "#p",
        "#Patient/123",
        "urn:uuid:8a2fa2a5-5f6c-4f55-9c2e-1b1f0d3c4b5a",
        "urn:oid:1.2.36.146.595.217.0.1",
        "RelatedPerson/1",
        "https://host/r4/RelatedPerson/1",
        "NotAPatient/1",
        "patient/1",
        "Patient",
        "Patient/",
        "Patient?identifier=http://example.org|1",
        "https://host/r4/Patient?identifier=Patient/1",
        "https://host/Patient/Observation/1",
        "Patient/12 34",
    ],
)
def test_a_reference_to_anything_else_gives_none(reference: str) -> None:
    assert patient_id(reference) is None


def test_an_id_of_any_characters_that_a_reference_can_hold_is_kept() -> None:
    assert patient_id("Patient/A-b.c_é") == "A-b.c_é"
