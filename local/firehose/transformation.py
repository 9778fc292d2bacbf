"""What Firehose sends to a transformation function, and what it makes of the answer.

A function that fails is tried again; an answer is final, however it is shaped. No record passes as it was.
AWS documentation: «Required parameters for data transformation», «Handle failure in data transformation».
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from local.firehose.destinations import Destination
from local.firehose.records import PROCESSING_FAILED, Failure, Record, Transformed

DUPLICATED = Failure(
    PROCESSING_FAILED,
    "Lambda.DuplicatedRecordId",
    "Multiple records were returned with the same record Id. Ensure that the Lambda function returns a "
    "unique record Id for each record.",
)
MISSING = Failure(
    PROCESSING_FAILED,
    "Lambda.MissingRecordId",
    "One or more record Ids were not returned. Ensure that the Lambda function returns all received "
    "record Ids.",
)
STATUS = Failure(PROCESSING_FAILED, "Lambda.ProcessingFailedStatus", "ProcessingFailed status set for record")
FUNCTION_ERROR = Failure(
    PROCESSING_FAILED,
    "Lambda.FunctionError",
    "The Lambda function was successfully invoked but it returned an error result.",
)
ACCESS_DENIED = Failure(
    PROCESSING_FAILED,
    "Lambda.InvokeAccessDenied",
    "Access was denied. Ensure that the access policy allows access to the Lambda function.",
)


def event_of(destination: Destination, records: Sequence[Record]) -> bytes:
    """The payload of one invocation."""
    event = {
        "invocationId": str(uuid.uuid4()),
        "deliveryStreamArn": destination.stream_arn,
        "region": destination.region,
        "records": [
            {
                "recordId": record.record_id,
                "approximateArrivalTimestamp": int(record.arrival * 1000),
                "data": base64.b64encode(record.data).decode(),
            }
            for record in records
        ],
    }
    return json.dumps(event).encode()


def outcomes(answer: Any, records: Sequence[Record]) -> Iterable[tuple[Record, Transformed | Failure | None]]:
    """For each record what is to be stored, why it failed, or None where the function dropped it."""
    returned: dict[str, Mapping[str, Any]] = {}
    twice: set[str] = set()
    for one in _records_in(answer):
        record_id = one.get("recordId")
        if isinstance(record_id, str):
            twice.update({record_id} & returned.keys())
            returned[record_id] = one
    for record in records:
        if record.record_id in twice:
            yield record, DUPLICATED
        elif record.record_id not in returned:
            yield record, MISSING
        else:
            yield record, _outcome(record, returned[record.record_id])


def _outcome(record: Record, returned: Mapping[str, Any]) -> Transformed | Failure | None:
    result, data = returned.get("result"), returned.get("data")
    if result == "Dropped":
        return None
    if result == "ProcessingFailed":
        return STATUS
    if result != "Ok":
        return _malformed("The result field must be one of Ok, Dropped or ProcessingFailed.")
    if not isinstance(data, str):
        return _malformed("The data field cannot be null when the processing result is Ok.")
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return _malformed("The data field must be base64 encoded.")
    return Transformed(record, decoded, _partition_keys(returned.get("metadata")))


def _partition_keys(metadata: Any) -> Mapping[str, str] | None:
    keys = metadata.get("partitionKeys") if isinstance(metadata, dict) else None
    if not isinstance(keys, dict):
        return None
    return {str(name): str(value) for name, value in keys.items()}


def after(failure: Failure, attempts: int, function_arn: str) -> Failure:
    """The failure as the error object tells it: after how many invocations, and of which function."""
    return replace(failure, attempts=attempts, more={"lambdaARN": function_arn})


def _malformed(message: str) -> Failure:
    return replace(FUNCTION_ERROR, code="Lambda.InvalidReturnFormat", message=message)


def _records_in(answer: Any) -> list[Mapping[str, Any]]:
    records = answer.get("records") if isinstance(answer, dict) else None
    return [one for one in records if isinstance(one, dict)] if isinstance(records, list) else []
