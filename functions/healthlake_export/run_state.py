"""The state of a datastore in the hub's table: who runs, how far its export is, and what has been covered.

One item holds the run lock (its owner is an execution's ARN), the phase of the export and the watermark.
Every write here is one conditional update of that item, so that of two that compete one wins and the other
learns of it. The owner's status in Step Functions is the only authority on whether a run lives; there is no
lease. The events of ended runs wait beside it, in an outbox of items of their own.

| phase     | meaning                                                                          |
|-----------|----------------------------------------------------------------------------------|
| LOCKED    | the run owns the lock and has no job                                             |
| STARTING  | one invocation may POST `$export`, until `startingUntil`; others look for its job |
| EXPORTING | the job is known and being watched by the chain of checks                        |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from common.conditional_writes import condition_holds
from common.table_values import attribute
from healthlake_export.datastore_state import DatastoreState
from healthlake_export.run_audit import completed_run, read_run, run_that_begins, run_that_never_began
from healthlake_export.run_context import RunContext, RunIdentity
from healthlake_export.run_ownership import owned_by
from healthlake_export.run_progress import NO_PROGRESS, RunProgress
from healthlake_export.table_keys import outbox_key, outbox_partition, state_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

_OF_A_RUN = (
    "runId, lockedAt, staleAfter, phase, attempt, startingBy, startingUntil, requestedAt, "
    "jobId, runningSince, taskToken, #sequence, claimedBy"
)
_NAMES = {"#owner": "owner", "#sequence": "sequence"}


class RunState:
    """Reads and conditional writes of one datastore's state item. A write that returns a bool says
    whether its condition held; False means that another run, attempt or invocation has moved on."""

    def __init__(self, client: DynamoDBClient, table: str, datastore_id: str) -> None:
        self._client = client
        self._table = table
        self.datastore_id = datastore_id

    def read(self) -> DatastoreState:
        """The state now, by a consistent read."""
        answer = self._client.get_item(
            TableName=self._table, Key=state_key(self.datastore_id), ConsistentRead=True
        )
        return DatastoreState.from_item(answer.get("Item", {}))

    def acquire(self, run_id: str, execution_arn: str, now: str, stale_after: str) -> bool:
        """Take the lock for a run; True also when the run has it already."""
        return self._update(
            "SET #owner = :owner, runId = :run, lockedAt = :now, "
            "staleAfter = :stale, phase = :locked, firstRunAt = if_not_exists(firstRunAt, :now) "
            "REMOVE attempt, startingBy, startingUntil, requestedAt, jobId, runningSince, taskToken, "
            "#sequence, claimedBy",
            "attribute_not_exists(#owner) OR (#owner = :owner AND phase = :locked)",
            {
                ":owner": execution_arn,
                ":run": run_id,
                ":now": now,
                ":stale": stale_after,
                ":locked": "LOCKED",
            },
        )

    def begin_start(
        self,
        execution_arn: str,
        attempt: str,
        task_token: str,
        invocation: str,
        now: int,
        until: int,
        at: str,
    ) -> bool:
        """Enter STARTING for one invocation, from LOCKED or from a STARTING that has expired.

        `at` becomes the time of the start request unless an earlier try has set one: the earliest is
        what a watermark may safely be.
        """
        return self._update(
            "SET phase = :starting, startingBy = :invocation, startingUntil = :until, attempt = :attempt, "
            "taskToken = :token, requestedAt = if_not_exists(requestedAt, :at)",
            "#owner = :owner AND (phase = :locked OR (phase = :starting AND startingUntil < :now))",
            {
                ":owner": execution_arn,
                ":starting": "STARTING",
                ":locked": "LOCKED",
                ":invocation": invocation,
                ":until": until,
                ":now": now,
                ":attempt": attempt,
                ":token": task_token,
                ":at": at,
            },
        )

    def give_up_start(self, execution_arn: str, invocation: str) -> bool:
        """Leave STARTING after HealthLake refused the request for now, so that the next try need not wait."""
        return self._update(
            "SET phase = :locked REMOVE startingBy, startingUntil",
            "#owner = :owner AND phase = :starting AND startingBy = :invocation",
            {
                ":owner": execution_arn,
                ":starting": "STARTING",
                ":locked": "LOCKED",
                ":invocation": invocation,
            },
        )

    def record_job(self, execution_arn: str, invocation: str, job_id: str) -> bool:
        """Enter EXPORTING with the job that `invocation` has started or found."""
        return self._update(
            "SET phase = :exporting, jobId = :job, #sequence = :zero "
            "REMOVE startingBy, startingUntil, claimedBy",
            "#owner = :owner AND phase = :starting AND startingBy = :invocation",
            {
                ":owner": execution_arn,
                ":exporting": "EXPORTING",
                ":starting": "STARTING",
                ":invocation": invocation,
                ":job": job_id,
                ":zero": 0,
            },
        )

    def adopt_job(self, execution_arn: str, attempt: str, task_token: str) -> bool:
        """Let a new attempt of the waiting state (with its new task token) take over the running job."""
        return self._update(
            "SET attempt = :attempt, taskToken = :token, #sequence = :zero REMOVE claimedBy",
            "#owner = :owner AND phase = :exporting AND attempt <> :attempt",
            {
                ":owner": execution_arn,
                ":exporting": "EXPORTING",
                ":attempt": attempt,
                ":token": task_token,
                ":zero": 0,
            },
        )

    def claim_check(self, execution_arn: str, attempt: str, sequence: int, message_id: str) -> bool:
        """Claim check number `sequence` of the chain for one message. The same message may claim again
        after a crash; a copy with another id may not, so redelivery cannot double the chain."""
        return self._update(
            "SET #sequence = :next, claimedBy = :message",
            "#owner = :owner AND phase = :exporting AND attempt = :attempt AND "
            "(#sequence = :this OR (#sequence = :next AND claimedBy = :message))",
            {
                ":owner": execution_arn,
                ":exporting": "EXPORTING",
                ":attempt": attempt,
                ":this": sequence,
                ":next": sequence + 1,
                ":message": message_id,
            },
        )

    def note_running(self, execution_arn: str, job_id: str, now: int) -> bool:
        """Record when the job was first seen running, in seconds since 1970; later calls change nothing."""
        return self._update(
            "SET runningSince = if_not_exists(runningSince, :now)",
            "#owner = :owner AND jobId = :job",
            {":owner": execution_arn, ":job": job_id, ":now": now},
        )

    def still_exporting(self, execution_arn: str, attempt: str) -> bool:
        """Whether this attempt still exports, proven by a conditional write."""
        return self._update(
            "SET phase = :exporting",
            "#owner = :owner AND phase = :exporting AND attempt = :attempt",
            {":owner": execution_arn, ":exporting": "EXPORTING", ":attempt": attempt},
        )

    def close(
        self,
        run: RunIdentity,
        outcome: Mapping[str, Any],
        event: str,
        progress: RunProgress = NO_PROGRESS,
    ) -> bool:
        """End the run in one transaction: release the lock, put its event into the outbox, complete its
        audit item with `outcome`, and make the `progress` that its success means."""
        assigned = progress.assignments()
        values = {":owner": run.execution_arn, **{f":{name}": value for name, value in assigned.items()}}
        sets = "SET " + ", ".join(f"{name} = :{name}" for name in assigned) if assigned else ""
        removals = ["#owner", _OF_A_RUN, *progress.removals()]
        release: TransactWriteItemTypeDef = {
            "Update": {
                "TableName": self._table,
                "Key": state_key(self.datastore_id),
                "UpdateExpression": f"{sets} REMOVE {', '.join(removals)}".strip(),
                "ConditionExpression": "#owner = :owner",
                "ExpressionAttributeNames": _NAMES,
                "ExpressionAttributeValues": {name: attribute(value) for name, value in values.items()},
            }
        }
        actions = [release, completed_run(self._table, run, outcome), self._remember(run, event)]
        return condition_holds(lambda: self._client.transact_write_items(TransactItems=actions))

    def record_failure(self, run: RunIdentity, outcome: Mapping[str, Any], event: str) -> bool:
        """Record that a run failed before it had the lock, with its event in the outbox; False when the
        run has an audit item already, because it had the lock or because this was recorded."""
        actions = [run_that_never_began(self._table, run, outcome), self._remember(run, event)]
        return condition_holds(lambda: self._client.transact_write_items(TransactItems=actions))

    def release_stale(self, owner: str, now: str) -> bool:
        """Release the lock of an owner that is no run and has not said that it lives in time; False when the
        lock is another's by now, or the owner has said so."""
        return self._update(
            "REMOVE #owner, lockedAt, staleAfter, phase",
            "#owner = :owner AND staleAfter < :now",
            {":owner": owner, ":now": now},
        )

    def resume(self) -> bool:
        """Let the schedule start exports again; False when they are not paused."""
        return self._update("REMOVE pausedAt, holds", "attribute_exists(pausedAt)", {})

    def open_audit(self, run: RunContext, locked_at: str) -> bool:
        """Write the audit item of a run that begins; False when somebody has ended it meanwhile."""
        actions = [
            owned_by(self._table, run.datastore_id, run.execution_arn),
            run_that_begins(self._table, run, locked_at),
        ]
        return condition_holds(lambda: self._client.transact_write_items(TransactItems=actions))

    def read_audit(self, run: RunIdentity) -> dict[str, Any]:
        """The audit item of a run as plain values; empty when there is none."""
        return read_run(self._client, self._table, run)

    def outbox(self) -> list[tuple[str, str]]:
        """The events that wait to be published, each with the id of its run."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="pk = :outbox",
            ExpressionAttributeValues={":outbox": outbox_partition(self.datastore_id)},
            ConsistentRead=True,
        )
        return [(item["sk"]["S"], item["event"]["S"]) for page in pages for item in page["Items"]]

    def clear_outbox(self, run_id: str) -> None:
        """Forget the event of a run that has been published."""
        self._client.delete_item(TableName=self._table, Key=outbox_key(self.datastore_id, run_id))

    def _remember(self, run: RunIdentity, event: str) -> TransactWriteItemTypeDef:
        item = {**outbox_key(self.datastore_id, run.run_id), "event": attribute(event)}
        return {"Put": {"TableName": self._table, "Item": item}}

    def _update(self, update: str, condition: str, values: Mapping[str, str | int]) -> bool:
        used = {name: full for name, full in _NAMES.items() if name in update or name in condition}
        # DynamoDB refuses an empty map of names or values, where it takes none at all
        placeholders: dict[str, Any] = {}
        if used:
            placeholders["ExpressionAttributeNames"] = used
        if values:
            given = {name: attribute(value) for name, value in values.items()}
            placeholders["ExpressionAttributeValues"] = given
        return condition_holds(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=state_key(self.datastore_id),
                UpdateExpression=update,
                ConditionExpression=condition,
                **placeholders,
            )
        )
