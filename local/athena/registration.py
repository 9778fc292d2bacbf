"""Joins the execution of queries to ministack.

ministack keeps workgroups, catalogs and records of executions and serves Athena's API. Its own execution
knows no partition projection beyond paths that Hive would write, no views, no UNLOAD and no limit of scanned
bytes, takes an answer's length for what was scanned and ignores what a workgroup enforces; it is replaced.
Glue's partitions are ministack's, but for an update that others never see half done. Statements that define
tables stay ministack's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from local.account.joined_service import Answer
from local.account.ministack_names import ministack
from local.athena.executions import Executions
from local.athena.permissions import workgroup_of_execution

_partitions_lock = threading.Lock()


def register() -> None:
    """Let queries be run, answered and stopped as on AWS."""
    athena = ministack("ministack.services.athena")
    executions = Executions()
    athena._start_query_execution = _beside_definitions(athena._start_query_execution, executions)
    athena._get_query_results = _beside_others(athena._get_query_results, executions)
    athena._stop_query_execution = executions.stop
    actions = ministack("ministack.core.iam_actions")
    actions.extract_resource_arn = workgroup_of_execution(actions.extract_resource_arn)
    glue = ministack("ministack.services.glue")
    glue._batch_update_partition = _at_once(glue._batch_update_partition)


def _beside_definitions(
    shipped: Callable[[Mapping[str, Any]], Answer], executions: Executions
) -> Callable[[Mapping[str, Any]], Answer]:
    """Statements that define or drop tables go to ministack, all others are run here."""

    def start(data: Mapping[str, Any]) -> Answer:
        first = data.get("QueryString", "").split(None, 1)[:1]
        if first and first[0].lower() in ("create", "drop", "alter"):
            return shipped(data)
        return executions.start(data)

    return start


def _beside_others(
    shipped: Callable[[Mapping[str, Any]], Answer], executions: Executions
) -> Callable[[Mapping[str, Any]], Answer]:
    def results(data: Mapping[str, Any]) -> Answer:
        record = ministack("ministack.services.athena")._executions.get(data.get("QueryExecutionId"))
        return shipped(data) if record is not None and "_results" in record else executions.results(data)

    return results


def _at_once(shipped: Callable[[Mapping[str, Any]], Answer]) -> Callable[[Mapping[str, Any]], Answer]:
    """BatchUpdatePartition, which replaces each partition in one step: a query finds the old or the new."""

    def update(data: Mapping[str, Any]) -> Answer:
        glue = ministack("ministack.services.glue")
        table = f"{data.get('DatabaseName')}/{data.get('TableName')}"
        if table not in glue._tables:
            return shipped(data)
        errors = []
        with _partitions_lock:
            for entry in data.get("Entries", []):
                values = entry.get("PartitionValueList", [])
                found = [dict(one) for one in glue._partitions.get(table, [])]
                old = next((one for one in found if one.get("Values") == values), None)
                if old is None:
                    errors.append(_not_found(values))
                    continue
                kept = {
                    name: old[name] for name in ("DatabaseName", "TableName", "CreationTime", "CatalogId")
                }
                new = {**entry["PartitionInput"], **kept, "LastAccessTime": int(time.time())}
                glue._partitions[table] = [new if one is old else one for one in found]
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps({"Errors": errors}).encode()

    return update


def _not_found(values: list[str]) -> dict[str, Any]:
    detail = {"ErrorCode": "EntityNotFoundException", "ErrorMessage": "Partition not found."}
    return {"PartitionValueList": values, "ErrorDetail": detail}
