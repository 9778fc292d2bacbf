"""A local AWS HealthLake: JSON API, FHIR REST API, export and import jobs, events and faults on request."""
