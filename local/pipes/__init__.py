"""EventBridge Pipes from DynamoDB streams: filter, enrichment, templates and targets as on AWS."""
