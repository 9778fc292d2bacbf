"""Which scenario shows each permission of the streams, of uploads and of the jobs table, written as in
`catalogue`: without it something that is on its way does not arrive."""

from __future__ import annotations

from collections.abc import Mapping

_READING = (
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
)

ON_THEIR_WAY: Mapping[str, tuple[str, ...]] = {
    "a change of a patient": (
        *(f"RecordsPipeRole {action}" for action in _READING),
        "RecordsPipeRole lambda:InvokeFunction",
        "RecordsPipeRole events:PutEvents",
        "EnrichChangesFunctionRole dynamodb:Query",
        "PatientChangesFunctionRole sqs:SendMessage*",
        "WriteFhirFunctionRole dynamodb:Query",
        "WriteFhirFunctionRole dynamodb:UpdateItem",
        "WriteFhirFunctionRole healthlake:ReadResource",
        "WriteFhirFunctionRole healthlake:UpdateResource",
    ),
    "a change of an address": ("AddressChangesFunctionRole sqs:SendMessage*",),
    "a change of a measurement": ("MeasurementChangesFunctionRole sqs:SendMessage*",),
    "a record that is deleted": ("WriteFhirFunctionRole healthlake:DeleteResource",),
    "a record that makes no resource": ("WriteFhirFunctionRole s3:PutObject",),
    "a large change": ("EnrichChangesFunctionRole s3:PutObject on /changes/",),
    "a record of no declared type": ("EnrichChangesFunctionRole s3:PutObject on /quarantine/",),
    "a change that its pipe gives up": ("RecordsPipeRole sqs:SendMessage",),
    "a row of the lake": (
        *(f"LakeRowsPipeRole {action}" for action in _READING),
        "LakeRowsPipeRole lambda:InvokeFunction",
        "LakeRowsPipeRole firehose:PutRecordBatch",
        "LakeRowsStreamRole lambda:InvokeFunction",
        "LakeRowsStreamRole glue:GetTable on :catalog",
        "LakeRowsStreamRole glue:GetTable on :database/",
        "LakeRowsStreamRole glue:GetTable on :table/",
        "LakeRowsStreamRole s3:PutObject on /records/",
    ),
    "a large row": (
        "PrepareLakeRowsFunctionRole s3:PutObject on /changes/",
        "PartitionLakeRowsFunctionRole s3:GetObject",
    ),
    "large rows that no answer has room for": ("PartitionLakeRowsFunctionRole firehose:PutRecordBatch",),
    "a row that is none": ("LakeRowsStreamRole s3:PutObject on /records-errors/",),
    "a large row that is none": ("PrepareLakeRowsFunctionRole s3:PutObject on /quarantine/",),
    "a row that its pipe gives up": ("LakeRowsPipeRole sqs:SendMessage",),
    "an upload": (
        "UploaderRole s3:PutObject",
        "RecordUploadFunctionRole dynamodb:UpdateItem",
        "DetectTransitionsFunctionRole sqs:SendMessage",
    ),
    "an upload that is broken off": ("UploaderRole s3:AbortMultipartUpload",),
    "an upload that cannot be recorded": ("RecordUploadFunctionRole sqs:SendMessage",),
    "a job that is done": ("DetectTransitionsFunctionRole s3:PutObject on /transitions/",),
    "a job that cannot be looked at": (
        "DetectTransitionsFunctionRole s3:PutObject on /aws/lambda/",
        "DetectTransitionsFunctionRole s3:ListBucket",
    ),
    "a cleaning that dies": ("CleanUpFailedRunFunctionRole sqs:SendMessage",),
}

NAMED_AS: Mapping[str, str] = {
    # Firehose's log has codes, which name the service that refused and no action.
    "LakeRowsStreamRole lambda:InvokeFunction": "Lambda.InvokeAccessDenied",
    "LakeRowsStreamRole glue:GetTable": "Glue.AccessDenied",
    "LakeRowsStreamRole s3:PutObject": "S3.AccessDenied",
}
"""The words by which a log names what is missing, where these are not the action."""
