"""Which scenario shows each permission; those that a template test requires stand in `required`. Each stands
in one of the two, once.

A permission is written as `Role action`, with ` on ` and part of a resource where the role has the action
more than once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from local.soak.permissions.grants import Grant
from local.soak.permissions.required import REQUIRED
from local.soak.permissions.shown import HELD
from local.soak.permissions.stream_catalogue import NAMED_AS, ON_THEIR_WAY

SHOWN: Mapping[str, tuple[str, ...]] = {
    "an ordinary run": (
        "HealthLakeDataAccessRole s3:PutObject",
        "AcquireRunLockFunctionRole dynamodb:GetItem",
        "AcquireRunLockFunctionRole dynamodb:UpdateItem",
        "AcquireRunLockFunctionRole dynamodb:PutItem",
        "AcquireRunLockFunctionRole dynamodb:ConditionCheckItem",
        "StartExportFunctionRole dynamodb:GetItem",
        "StartExportFunctionRole dynamodb:UpdateItem",
        "StartExportFunctionRole sqs:SendMessage* on CheckExportQueue",
        "StartExportFunctionRole healthlake:StartFHIRExportJobWithPost",
        "StartExportFunctionRole iam:PassRole",
        "StartExportFunctionRole states:SendTaskHeartbeat",
        "CheckExportFunctionRole dynamodb:GetItem",
        "CheckExportFunctionRole healthlake:DescribeFHIRExportJobWithGet",
        "CheckExportFunctionRole states:SendTaskSuccess",
        "PlanRangesFunctionRole healthlake:DescribeFHIRExportJobWithGet",
        "PlanRangesFunctionRole s3:ListBucket",
        "PlanRangesFunctionRole s3:PutObject on /runs/",
        "ProcessRangeFunctionRole dynamodb:GetItem",
        "ProcessRangeFunctionRole dynamodb:Query",
        "ProcessRangeFunctionRole dynamodb:PutItem",
        "ProcessRangeFunctionRole dynamodb:ConditionCheckItem",
        "ProcessRangeFunctionRole events:PutEvents",
        "ProcessRangeFunctionRole s3:GetObject on /exports/",
        "ProcessRangeFunctionRole s3:GetObject on /runs/",
        "ProcessRangeFunctionRole s3:PutObject on /runs/",
        "ProcessRangeFunctionRole s3:PutObject on /fhir/",
        "ReconcileRunFunctionRole dynamodb:Query",
        "ReconcileRunFunctionRole s3:GetObject",
        "ReconcileRunFunctionRole s3:PutObject",
        "AdvanceWatermarkFunctionRole dynamodb:PutItem",
        "AdvanceWatermarkFunctionRole dynamodb:UpdateItem",
        "PublishRunEventsFunctionRole events:PutEvents",
        "PublishRunEventsFunctionRole dynamodb:Query",
        "PublishRunEventsFunctionRole dynamodb:DeleteItem",
        "ExportStateMachineRole lambda:InvokeFunction on AcquireRunLockFunction",
        "ExportStateMachineRole lambda:InvokeFunction on PlanRangesFunction",
        "ExportStateMachineRole lambda:InvokeFunction on ProcessRangeFunction",
        "ExportStateMachineRole lambda:InvokeFunction on ReconcileRunFunction",
        "ExportStateMachineRole lambda:InvokeFunction on AdvanceWatermarkFunction",
        "ExportStateMachineRole lambda:InvokeFunction on PublishRunEventsFunction",
        "ExportStateMachineRole sqs:SendMessage",
        "ExportStateMachineRole s3:GetObject",
    ),
    "a failed job": (
        "CheckExportFunctionRole states:SendTaskFailure",
        "CleanUpFailedRunFunctionRole dynamodb:GetItem",
        "CleanUpFailedRunFunctionRole dynamodb:PutItem",
        "CleanUpFailedRunFunctionRole dynamodb:UpdateItem",
        "CleanUpFailedRunFunctionRole dynamodb:Query",
        "CleanUpFailedRunFunctionRole dynamodb:DeleteItem",
        "CleanUpFailedRunFunctionRole events:PutEvents",
        "ExportStateMachineRole lambda:InvokeFunction on CleanUpFailedRunFunction",
    ),
    "a refused start": (
        "StartExportFunctionRole states:SendTaskFailure",
        "CleanUpFailedRunFunctionRole healthlake:ListFHIRExportJobs",
    ),
    "a busy HealthLake": (
        "StartExportFunctionRole sqs:SendMessage* on StartExportQueue",
        "StartExportFunctionRole healthlake:ListFHIRExportJobs",
    ),
    "checks without events": (
        "CheckExportFunctionRole dynamodb:UpdateItem",
        "CheckExportFunctionRole sqs:SendMessage*",
        "CheckExportFunctionRole states:SendTaskHeartbeat",
    ),
    "an error file": (
        "PlanRangesFunctionRole dynamodb:Query",
        "PlanRangesFunctionRole s3:GetObject",
        "PlanRangesFunctionRole s3:PutObject on /quarantine/",
    ),
    "a line of 40 MB": ("ProcessRangeFunctionRole s3:PutObject on /quarantine/",),
    "a full run": ("ProcessRangeFunctionRole dynamodb:UpdateItem",),
    "a stopped execution": (
        "CleanUpFailedRunFunctionRole healthlake:DescribeFHIRExportJobWithGet",
        "CleanUpFailedRunFunctionRole healthlake:CancelFHIRExportJobWithDelete",
        "CleanUpFailedRunFunctionRole states:DescribeExecution",
    ),
    "a stopped execution that nothing cleans up": (
        "CheckExportFunctionRole states:DescribeExecution",
        "CheckExportFunctionRole healthlake:CancelFHIRExportJobWithDelete",
    ),
    "two runs at once": (
        "ExportStateMachineRole dynamodb:GetItem",
        "ExportStateMachineRole states:DescribeExecution on -export:*",
    ),
    "a start of a run that lost the lock": (
        "StartExportFunctionRole healthlake:DescribeFHIRExportJobWithGet",
        "StartExportFunctionRole healthlake:CancelFHIRExportJobWithDelete",
    ),
    "a lost answer": ("AdvanceWatermarkFunctionRole dynamodb:GetItem",),
    "a redrive in bulk": (
        "PlanRedriveFunctionRole sqs:ListQueues",
        "PlanRedriveFunctionRole sqs:ListQueueTags",
        "PlanRedriveFunctionRole sqs:GetQueueAttributes",
        "PlanRedriveFunctionRole sqs:ReceiveMessage",
        "PlanRedriveFunctionRole sqs:ChangeMessageVisibility",
        "PlanRedriveFunctionRole dynamodb:GetItem",
        "RedriveStateMachineRole lambda:InvokeFunction on PlanRedriveFunction",
        "RedriveStateMachineRole dynamodb:UpdateItem",
        "RedriveStateMachineRole sqs:ListMessageMoveTasks",
        "RedriveStateMachineRole sqs:StartMessageMoveTask",
        "RedriveStateMachineRole sqs:GetQueueAttributes",
        "RedriveStateMachineRole sqs:ReceiveMessage",
        "RedriveStateMachineRole sqs:SendMessage",
        "RedriveStateMachineRole sqs:DeleteMessage",
    ),
    "a redrive message by message": (
        "RedriveStateMachineRole lambda:InvokeFunction on RedriveMessagesFunction",
        "RedriveMessagesFunctionRole sqs:ReceiveMessage",
        "RedriveMessagesFunctionRole sqs:SendMessage",
        "RedriveMessagesFunctionRole sqs:DeleteMessage",
        "RedriveMessagesFunctionRole dynamodb:GetItem",
        "RedriveMessagesFunctionRole dynamodb:UpdateItem",
    ),
    "a redrive to a function": (
        "RedriveMessagesFunctionRole lambda:GetFunctionEventInvokeConfig",
        "RedriveMessagesFunctionRole lambda:InvokeFunction",
    ),
    "a redrive to a function that reads a stream": (
        "RedriveMessagesFunctionRole lambda:ListEventSourceMappings",
    ),
    "a redrive to a state machine": (
        "RedriveMessagesFunctionRole scheduler:GetSchedule",
        "RedriveMessagesFunctionRole states:StartExecution",
    ),
    "a redrive of what a rule could not deliver": ("RedriveMessagesFunctionRole events:ListTargetsByRule",),
    "a redrive to the bus": ("RedriveMessagesFunctionRole events:PutEvents",),
    "a redrive into quarantine": ("RedriveMessagesFunctionRole s3:PutObject",),
    "a dead letter that cannot go back": ("RedriveMessagesFunctionRole sqs:ChangeMessageVisibility",),
    "a redrive after one that died": (
        "RedriveStateMachineRole dynamodb:GetItem",
        "RedriveStateMachineRole states:DescribeExecution",
    ),
    "a redrive of a change": (
        "RedriveMessagesFunctionRole pipes:DescribePipe",
        "RedriveMessagesFunctionRole dynamodb:GetShardIterator",
        "RedriveMessagesFunctionRole dynamodb:GetRecords",
    ),
    "a redrive of a row": ("RedriveMessagesFunctionRole firehose:PutRecordBatch",),
    **ON_THEIR_WAY,
}

ENDS_OTHERWISE: Mapping[str, str] = {
    # From the last write on nothing leads to failure: the event stays in the outbox, the output says why.
    "ExportStateMachineRole lambda:InvokeFunction on PublishRunEventsFunction": "SUCCEEDED",
    "PublishRunEventsFunctionRole events:PutEvents": "SUCCEEDED",
    "PublishRunEventsFunctionRole dynamodb:Query": "SUCCEEDED",
    "PublishRunEventsFunctionRole dynamodb:DeleteItem": "SUCCEEDED",
    # Without these the function cannot end the wait: the log names the action, the heartbeat ends the run.
    "StartExportFunctionRole states:SendTaskFailure": "RUNNING",
    "CheckExportFunctionRole states:SendTaskFailure": "RUNNING",
    "CheckExportFunctionRole dynamodb:GetItem": "RUNNING",
    # The run was stopped, or had lost its lock, before the permission was needed.
    "StartExportFunctionRole healthlake:DescribeFHIRExportJobWithGet": "RUNNING",
    "StartExportFunctionRole healthlake:CancelFHIRExportJobWithDelete": "RUNNING",
    "CheckExportFunctionRole states:DescribeExecution": "ABORTED",
    "CheckExportFunctionRole healthlake:CancelFHIRExportJobWithDelete": "ABORTED",
    "CleanUpFailedRunFunctionRole healthlake:DescribeFHIRExportJobWithGet": "ABORTED",
    "CleanUpFailedRunFunctionRole healthlake:CancelFHIRExportJobWithDelete": "ABORTED",
    "CleanUpFailedRunFunctionRole states:DescribeExecution": "ABORTED",
}
"""How the execution ends where it does not fail; the action is named in its output or a log."""


def scenario_of(grant: Grant) -> str | None:
    """The scenario that shows a permission."""
    return next((name for name, one in _listed(SHOWN) if grant.matches(one)), None)


def required_by(grant: Grant) -> str | None:
    """The template test that requires a permission."""
    return next((name for name, one in _listed(REQUIRED) if grant.matches(one)), None)


def expected_end(grant: Grant) -> str:
    """The status that the execution has in the end when the permission is missing, or what became of what was
    on its way."""
    if scenario_of(grant) in ON_THEIR_WAY:
        return HELD
    return next((end for one, end in ENDS_OTHERWISE.items() if grant.matches(one)), "FAILED")


def named_as(grant: Grant) -> str:
    """What is looked for where it must be told that the permission is missing."""
    return next((words for one, words in NAMED_AS.items() if grant.matches(one)), grant.service_action)


def _listed(table: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    return ((name, one) for name, ones in table.items() for one in ones)
