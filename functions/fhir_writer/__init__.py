"""Keeps FHIR resources in HealthLake as the records say they are."""
