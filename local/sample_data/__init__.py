"""Synthetic FHIR R4 resources, the same ones every time."""
