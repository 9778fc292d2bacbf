"""Which template test requires each permission that no scenario shows, written as in `catalogue`."""

from __future__ import annotations

from collections.abc import Mapping

from local.account.lifecycle import REPOSITORY
from local.item_types.declared import DECLARATION, read_declared

_PERMISSIONS = "tests/template/test_permissions_are_shown.py"
_ENCRYPTION = "tests/template/test_encryption.py"
_KEY_USERS = (
    "ExportScheduleRole",
    "AcquireRunLockFunctionRole",
    "StartExportFunctionRole",
    "CheckExportFunctionRole",
    "PlanRangesFunctionRole",
    "ProcessRangeFunctionRole",
    "ReconcileRunFunctionRole",
    "AdvanceWatermarkFunctionRole",
    "PublishRunEventsFunctionRole",
    "CleanUpFailedRunFunctionRole",
    "ExportStateMachineRole",
    "RedriveScheduleRole",
    "RedrivePositionsScheduleRole",
    "RedriveStateMachineRole",
    "LakeRowsPipeRole",
    "LakeRowsStreamRole",
    "PartitionLakeRowsFunctionRole",
    "RecordsPipeRole",
    "EnrichChangesFunctionRole",
    "PrepareLakeRowsFunctionRole",
    "RecordUploadFunctionRole",
    "DetectTransitionsFunctionRole",
)
_CONSUMERS = tuple(
    f"{one.name}ChangesFunctionRole"
    for one in read_declared((REPOSITORY / DECLARATION).read_text(encoding="utf-8"))
    if one.resource
)
_WRITERS = (*_CONSUMERS, "WriteFhirFunctionRole")
_TAKERS = ("PlanRedriveFunctionRole", "RedriveMessagesFunctionRole")
_WORKERS = "tests/template/test_workers.py"
_RECORDS_LAKE = "tests/template/test_records_lake_rights.py"
_UPLOADS = "tests/template/test_uploads.py"
_RECORDS = "tests/template/test_record_rights.py"
_MACHINES = "tests/template/test_state_machine_permissions.py"
_MACHINE_ROLES = ("ExportStateMachineRole", "RedriveStateMachineRole")
_DELIVERY = (
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
)

REQUIRED: Mapping[str, tuple[str, ...]] = {
    # No local account has instances: what theirs may do is required, and done by the program under test.
    f"{_WORKERS}::test_a_worker_may_work_on_jobs_and_do_nothing_else_to_them": (
        "WorkerRole sqs:ReceiveMessage",
        "WorkerRole sqs:ChangeMessageVisibility",
        "WorkerRole sqs:DeleteMessage",
        "WorkerRole dynamodb:GetItem",
        "WorkerRole dynamodb:PutItem",
        "WorkerRole dynamodb:UpdateItem",
        "WorkerRole s3:GetObject on UploadsBucket",
        "WorkerRole s3:GetObject on HubBucket",
        "WorkerRole s3:GetObjectVersion",
        "WorkerRole s3:ListBucket",
        "WorkerRole kms:Decrypt",
        "WorkerRole kms:GenerateDataKey",
    ),
    f"{_WORKERS}::test_an_instance_may_fetch_its_program": ("WorkerRole lambda:GetLayerVersion",),
    f"{_WORKERS}::test_the_agent_may_send_the_log_to_its_group_alone": (
        "WorkerRole logs:CreateLogStream",
        "WorkerRole logs:PutLogEvents",
    ),
    # The local account encrypts nothing, the filters of pipes neither.
    f"{_RECORDS}::test_every_pipe_may_use_and_check_the_key_of_its_filter": (
        "RecordsPipeRole kms:DescribeKey",
        "LakeRowsPipeRole kms:DescribeKey",
    ),
    # AWS documents that a delivery stream needs these, and not when it asks for them; without the last it is
    # silent, so that nothing names it.
    f"{_RECORDS_LAKE}::test_firehose_may_do_what_it_documents": (
        "LakeRowsStreamRole s3:GetObject",
        "LakeRowsStreamRole s3:AbortMultipartUpload",
        "LakeRowsStreamRole s3:GetBucketLocation",
        "LakeRowsStreamRole s3:ListBucket",
        "LakeRowsStreamRole s3:ListBucketMultipartUploads",
        "LakeRowsStreamRole lambda:GetFunctionConfiguration",
        "LakeRowsStreamRole glue:GetTableVersion",
        "LakeRowsStreamRole glue:GetTableVersions",
        "LakeRowsStreamRole logs:PutLogEvents",
    ),
    # The local S3 says of a missing object that it is missing, whoever asks.
    f"{_RECORDS_LAKE}::test_the_transformation_may_bring_in_large_rows_and_send_them_back": (
        "PartitionLakeRowsFunctionRole s3:ListBucket",
    ),
    # The local S3 encrypts nothing in the name of who uploads.
    f"{_UPLOADS}::test_who_uploads_uses_the_key_through_s3_and_for_the_bucket_alone": (
        "UploaderRole kms:Decrypt",
        "UploaderRole kms:GenerateDataKey",
    ),
    # The local account encrypts nothing, so that no run misses the key.
    f"{_ENCRYPTION}::test_everything_is_encrypted_and_whoever_needs_the_key_may_use_it": (
        *(f"{role} kms:Decrypt" for role in (*_KEY_USERS, *_WRITERS)),
        *(f"{role} kms:Decrypt on HubKey" for role in _TAKERS),
        *(f"{role} kms:GenerateDataKey" for role in (*_KEY_USERS, *_WRITERS, "RedriveMessagesFunctionRole")),
        "HealthLakeDataAccessRole kms:Decrypt",
        "HealthLakeDataAccessRole kms:GenerateDataKey*",
    ),
    # Nor do they miss the other key.
    f"{_PERMISSIONS}::test_whoever_takes_messages_of_every_queue_may_decrypt_them": tuple(
        f"{role} kms:Decrypt on EventBusDeadLetterKey" for role in _TAKERS
    ),
    # AWS documents that an export needs these, and not when it asks for them.
    f"{_PERMISSIONS}::test_healthlake_may_do_what_it_documents": (
        "HealthLakeDataAccessRole s3:ListBucket",
        "HealthLakeDataAccessRole s3:GetBucketPublicAccessBlock",
        "HealthLakeDataAccessRole s3:GetEncryptionConfiguration",
        "HealthLakeDataAccessRole kms:DescribeKey",
    ),
    # The local HealthLake has no keys to check.
    f"{_PERMISSIONS}::test_whoever_calls_healthlake_may_have_its_key_checked": (
        "StartExportFunctionRole kms:DescribeKey",
        "CheckExportFunctionRole kms:DescribeKey",
        "PlanRangesFunctionRole kms:DescribeKey",
        "CleanUpFailedRunFunctionRole kms:DescribeKey",
        "WriteFhirFunctionRole kms:DescribeKey",
    ),
    # The local scheduler starts executions without asking IAM.
    f"{_PERMISSIONS}::test_a_schedule_may_start_its_target_and_keep_what_it_could_not_start": (
        "ExportScheduleRole states:StartExecution",
        "ExportScheduleRole sqs:SendMessage",
        "RedriveScheduleRole states:StartExecution",
        "RedriveScheduleRole sqs:SendMessage",
        "RedrivePositionsScheduleRole states:StartExecution",
        "RedrivePositionsScheduleRole sqs:SendMessage",
    ),
    # So do the local account's rules.
    f"{_PERMISSIONS}::test_a_rule_may_start_its_target": (
        "RedriveAlarmRole states:StartExecution",
        "RedrivePositionsRole states:StartExecution",
    ),
    # An upload is aborted only after S3 has broken off in the midst of it.
    f"{_PERMISSIONS}::test_whoever_uploads_in_parts_may_abort": (
        "PlanRangesFunctionRole s3:AbortMultipartUpload",
        "ProcessRangeFunctionRole s3:AbortMultipartUpload",
    ),
    # A try finds a file of an earlier one that has no rows left only after an erasure between the two.
    f"{_PERMISSIONS}::test_whoever_writes_rows_may_remove_what_an_earlier_try_wrote": (
        "ProcessRangeFunctionRole s3:DeleteObject",
    ),
    # The local S3 says of a missing object that it is missing, whoever asks.
    f"{_PERMISSIONS}::test_whoever_reads_what_may_have_expired_may_list": (
        "ProcessRangeFunctionRole s3:ListBucket",
    ),
    # The engine starts and stops the children of a map itself; delivery of logs and traces is not there.
    f"{_MACHINES}::test_every_call_is_allowed_by_the_role_on_exactly_its_resource": (
        "ExportStateMachineRole states:StartExecution",
        "ExportStateMachineRole states:DescribeExecution on -export/*",
        "ExportStateMachineRole states:StopExecution",
    ),
    f"{_MACHINES}::test_the_role_allows_nothing_that_no_state_calls": (
        *(f"{role} {action}" for role in _MACHINE_ROLES for action in _DELIVERY),
    ),
}
"""What no run in the local account can show, by the template test that requires it."""

REQUIRED_POLICIES: Mapping[str, str] = {
    "AWSLambdaBasicExecutionRole": f"{_PERMISSIONS}::test_every_function_may_write_its_log",
    "AWSXrayWriteOnlyAccess": f"{_PERMISSIONS}::test_every_traced_function_may_send_traces",
    "AWSLambdaSQSQueueExecutionRole": f"{_PERMISSIONS}::test_every_function_may_take_from_its_queues",
    "AWSLambdaDynamoDBExecutionRole": f"{_PERMISSIONS}::test_every_function_may_read_its_stream",
}
"""Managed policies, which SAM attaches and the local account does not ask for, by the test of each."""
