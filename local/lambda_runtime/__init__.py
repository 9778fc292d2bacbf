"""Lambda functions that fail the way they do on AWS."""
