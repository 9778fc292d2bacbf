"""Changes of DynamoDB tables as events on the bus, FHIR resources and rows of the lake."""
