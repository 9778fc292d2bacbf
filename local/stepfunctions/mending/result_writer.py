"""Mends the result writer, whose manifest lists nothing in moto.

Results go to SUCCEEDED_0.json and FAILED_0.json beside it.

AWS documentation: "ResultWriter (Map)" (manifest.json and result files).
"""

from __future__ import annotations

import json
from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_map.result_writer.resource_eval.resource_eval_s3 import (  # noqa: E501
    ResourceEvalS3,
)

from local.stepfunctions.patching import original, replace


def _put_results(env: Any, resource_runtime_part: Any, state_credentials: Any) -> None:
    parameters = env.stack.pop()
    env.stack.pop()  # the results, which the map run's children hold with their metadata
    client = ResourceEvalS3._get_s3_client(
        resource_runtime_part=resource_runtime_part, state_credentials=state_credentials
    )
    record = env.map_run_record_pool_manager.get_all()[-1]
    bucket, prefix = parameters["Bucket"], parameters.get("Prefix", "")
    folder = (prefix.rstrip("/") + "/" if prefix else "") + record.map_run_arn.split(":")[-1]
    files: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for status, children in _by_status(record.map_run.children).items():
        body = json.dumps([_result(child) for child in children]).encode()
        key = f"{folder}/{status}_0.json"
        client.put_object(Bucket=bucket, Key=key, Body=body)
        files[status].append({"Key": key, "Size": len(body)})
    manifest = {"DestinationBucket": bucket, "MapRunArn": record.map_run_arn, "ResultFiles": files}
    key = f"{folder}/manifest.json"
    client.put_object(Bucket=bucket, Key=key, Body=json.dumps(manifest, indent=2).encode())
    details = {"Bucket": bucket, "Key": key}
    env.stack.append({"MapRunArn": record.map_run_arn, "ResultWriterDetails": details})


def _by_status(children: list[Any]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = {}
    for child in children:
        if child is not None:
            status = "SUCCEEDED" if child.status == "SUCCEEDED" else "FAILED"
            grouped.setdefault(status, []).append(child)
    return grouped


def _result(child: Any) -> dict[str, Any]:
    result = {
        "ExecutionArn": child.arn,
        "Input": child.input_text,
        "InputDetails": {"Included": True},
        "Name": child.name,
        "StartDate": child.start_date.isoformat(),
        "StateMachineArn": child.state_machine.arn,
        "Status": child.status,
        "StopDate": child.stop_date.isoformat(),
    }
    if child.status == "SUCCEEDED":
        return {**result, "Output": child.output_text, "OutputDetails": {"Included": True}}
    return {**result, "Error": child.error, "Cause": child.cause}


def install() -> None:
    """Put the mended behaviour in place."""
    original(ResourceEvalS3, "_get_s3_client")
    replace(ResourceEvalS3, "_handle_put_object", staticmethod(_put_results))
