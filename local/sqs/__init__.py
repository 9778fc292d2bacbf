"""SQS message-move tasks, which neither ministack nor moto has."""
