"""Redrive workflow: dead letters find their way back to where they belong, or are quarantined whole.

Handlers, in the order in which an execution meets them: `plan_redrive`, which says per dead-letter queue
what is to be done, and `redrive_messages`, which redrives one queue message by message. Queues that SQS can
redrive itself never meet the second.
"""
