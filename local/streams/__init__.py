"""Readers of DynamoDB streams: event source mappings of functions, and what pipes share with them."""
