"""Query executions: their states, statistics and results.

Follows the Athena API reference, «StartQueryExecution», «GetQueryExecution», «GetQueryResults»,
«StopQueryExecution», «QueryExecutionStatus», and the user guide, «Override client-side settings» and «Find
query output files in Amazon S3».
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from local.account.joined_service import Answer as HttpAnswer
from local.account.ministack_names import ministack
from local.athena.caller import Caller, CatalogOfCaller
from local.athena.engine import Answer, Put, Query, assert_well_formed
from local.athena.errors import (
    LIMIT_REASON,
    STOPPED_REASON,
    MalformedQuery,
    QueryFailed,
    ScanLimitExceeded,
)
from local.athena.result_values import csv_line

logger = logging.getLogger("local.athena")

_ENGINE = "Athena engine version 3"
_MOST_ROWS = 1000
_USER_ERROR = 2
_RUNNING = ("QUEUED", "RUNNING")
_KEY_HEADER = "x-amz-server-side-encryption-aws-kms-key-id"


@dataclass
class Executions:
    """What answers requests about query executions; the records are ministack's, who lists them."""

    _queries: dict[str, Query] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, data: Mapping[str, Any]) -> HttpAnswer:
        """StartQueryExecution."""
        sql = data.get("QueryString", "")
        name = data.get("WorkGroup") or "primary"
        workgroup = ministack("ministack.services.athena")._workgroups.get(name)
        if workgroup is None:
            return _refused("WorkGroup is not found.")
        if workgroup["State"] != "ENABLED":
            return _refused(f"WorkGroup {name} is disabled.")
        result = _result_configuration(data, workgroup.get("Configuration") or {})
        if not result.get("OutputLocation"):
            return _refused(
                "No output location provided. An output location is required either through the Workgroup "
                "result configuration setting or as an API input."
            )
        try:
            assert_well_formed(sql)
        except MalformedQuery as error:
            return _refused(str(error), AthenaErrorCode="MALFORMED_QUERY")
        except QueryFailed:
            pass  # said when it is run
        return self._started(sql, name, data, result, workgroup.get("Configuration") or {})

    def _started(
        self,
        sql: str,
        workgroup: str,
        data: Mapping[str, Any],
        result: Mapping[str, Any],
        configuration: Mapping[str, Any],
    ) -> HttpAnswer:
        query_id = str(uuid.uuid4())
        database = (data.get("QueryExecutionContext") or {}).get("Database") or "default"
        record = _record(query_id, sql, workgroup, database, result)
        ministack("ministack.services.athena")._executions[query_id] = record
        headers = _encryption_headers(result)
        catalog = CatalogOfCaller(Caller.of_this_request())

        def put(bucket: str, key: str, body: bytes) -> None:
            catalog.write(bucket, key, body, headers)

        query = self._queries[query_id] = Query(sql, database.lower(), catalog, put)
        # A template's Fn::Sub gives text.
        limit = int(configuration.get("BytesScannedCutoffPerQuery") or 0) or None
        task = asyncio.get_running_loop().create_task(self._run(query, record, limit, put))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return _answered({"QueryExecutionId": query_id})

    async def _run(self, query: Query, record: dict[str, Any], limit: int | None, put: Put) -> None:
        began = time.time()
        if record["Status"]["State"] == "QUEUED":
            record["Status"]["State"] = "RUNNING"
            state, reason = await asyncio.to_thread(self._outcome, query, record, limit, put)
            if record["Status"]["State"] == "RUNNING":
                _end(record, state, reason)
        self._queries.pop(record["QueryExecutionId"], None)
        took = int((time.time() - began) * 1000)
        record["Statistics"].update(
            DataScannedInBytes=query.scanned,
            EngineExecutionTimeInMillis=took,
            TotalExecutionTimeInMillis=took,
        )

    def _outcome(self, query: Query, record: dict[str, Any], limit: int | None, put: Put) -> tuple[str, str]:
        """The state in which the query ends, and why."""
        try:
            answer = query.run(limit)
            record["_answer"] = answer
            _save(record, answer, put)
        except ScanLimitExceeded:
            return "CANCELLED", LIMIT_REASON
        except (QueryFailed, MalformedQuery) as error:
            return "FAILED", str(error)
        except Exception as error:
            logger.exception("a query could not be run")
            return "FAILED", f"GENERIC_INTERNAL_ERROR: {type(error).__name__}"
        return "SUCCEEDED", ""

    def results(self, data: Mapping[str, Any]) -> HttpAnswer:
        """GetQueryResults: the first page begins with a row of the columns' names."""
        record = _found(data)
        if record is None:
            return _refused(f"QueryExecution {data.get('QueryExecutionId')} was not found")
        state = record["Status"]["State"]
        if state in _RUNNING:
            return _refused(f"Query has not yet finished. Current state: {state}")
        if state != "SUCCEEDED":
            reason = record["Status"]["StateChangeReason"]
            return _refused(
                f"Query did not finish successfully. Final query state: {state}. {reason}".rstrip()
            )
        answer: Answer = record["_answer"]
        most = int(data.get("MaxResults") or _MOST_ROWS)
        if not 1 <= most <= _MOST_ROWS:
            return _refused("MaxResults is more than maximum allowed length 1000.")
        header: list[list[str | None]] = (
            [[column["Name"] for column in answer.columns]] if answer.columns else []
        )
        rows = header + answer.rows
        begin = int(data.get("NextToken") or 0)
        page = {
            "ResultSet": {
                "Rows": [{"Data": [_datum(value) for value in row]} for row in rows[begin : begin + most]],
                "ResultSetMetadata": {"ColumnInfo": answer.columns},
            },
            "UpdateCount": 0,
        }
        more = {"NextToken": str(begin + most)} if begin + most < len(rows) else {}
        return _answered(page | more)

    def stop(self, data: Mapping[str, Any]) -> HttpAnswer:
        """StopQueryExecution: one that has ended stays as it ended."""
        record = _found(data)
        if record is None:
            return _refused(f"QueryExecution {data.get('QueryExecutionId')} was not found")
        if record["Status"]["State"] in _RUNNING:
            _end(record, "CANCELLED", STOPPED_REASON)
            query = self._queries.get(record["QueryExecutionId"])
            if query is not None:
                query.interrupt()
        return _answered({})


def _save(record: dict[str, Any], answer: Answer, put: Put) -> None:
    """Write the result, or what an UNLOAD has written, to where the query's results go."""
    location = record["ResultConfiguration"]["OutputLocation"]
    bucket, _, key = location.removeprefix("s3://").partition("/")
    if record["Query"].lstrip().lower().startswith("unload"):
        manifest = "".join(f"{name}\n" for name in answer.written)
        key = f"{key.removesuffix('.csv')}-manifest.csv"
        record["Statistics"]["DataManifestLocation"] = f"s3://{bucket}/{key}"
        put(bucket, key, manifest.encode())
        return
    lines = [csv_line([column["Name"] for column in answer.columns]), *map(csv_line, answer.rows)]
    put(bucket, key, "".join(lines).encode())
    put(bucket, f"{key}.metadata", json.dumps(answer.columns).encode())


def _record(
    query_id: str, sql: str, workgroup: str, database: str, result: Mapping[str, Any]
) -> dict[str, Any]:
    location = result["OutputLocation"].rstrip("/")
    first = sql.split(None, 1)[0].lower() if sql.split() else ""
    return {
        "QueryExecutionId": query_id,
        "Query": sql,
        "StatementType": "UTILITY" if first in ("show", "describe", "explain") else "DML",
        "ResultConfiguration": {**result, "OutputLocation": f"{location}/{query_id}.csv"},
        "QueryExecutionContext": {"Database": database, "Catalog": "awsdatacatalog"},
        "Status": {"State": "QUEUED", "SubmissionDateTime": time.time(), "StateChangeReason": ""},
        "Statistics": {
            "DataScannedInBytes": 0,
            "EngineExecutionTimeInMillis": 0,
            "TotalExecutionTimeInMillis": 0,
        },
        "WorkGroup": workgroup,
        "EngineVersion": {"SelectedEngineVersion": _ENGINE, "EffectiveEngineVersion": _ENGINE},
    }


def _end(record: dict[str, Any], state: str, reason: str) -> None:
    status = {
        **record["Status"],
        "State": state,
        "StateChangeReason": reason,
        "CompletionDateTime": time.time(),
    }
    if state == "FAILED":
        status["AthenaError"] = {
            "ErrorCategory": _USER_ERROR,
            "Retryable": False,
            "ErrorMessage": reason,
        }
    # At once, for a request that reads it now.
    record["Status"] = status


def _result_configuration(data: Mapping[str, Any], configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where results go and how they are encrypted: the workgroup's settings where it enforces them or the
    client names none."""
    asked = data.get("ResultConfiguration") or {}
    own: Mapping[str, Any] = configuration.get("ResultConfiguration") or {}
    if configuration.get("EnforceWorkGroupConfiguration", False):
        return own
    return {**own, **asked}


def _encryption_headers(result: Mapping[str, Any]) -> dict[str, str]:
    encryption = result.get("EncryptionConfiguration") or {}
    match encryption.get("EncryptionOption"):
        case "SSE_KMS":
            return {"x-amz-server-side-encryption": "aws:kms", _KEY_HEADER: encryption["KmsKey"]}
        case "SSE_S3":
            return {"x-amz-server-side-encryption": "AES256"}
        case _:
            return {}


def _found(data: Mapping[str, Any]) -> dict[str, Any] | None:
    record: dict[str, Any] | None = ministack("ministack.services.athena")._executions.get(
        data.get("QueryExecutionId")
    )
    return record


def _datum(value: str | None) -> dict[str, str]:
    return {} if value is None else {"VarCharValue": value}


def _answered(document: Mapping[str, Any]) -> HttpAnswer:
    return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()


def _refused(message: str, **more: str) -> HttpAnswer:
    told = {"__type": "InvalidRequestException", "message": message, "Message": message, **more}
    return 400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(told).encode()
