"""Redrives a bounded number of messages of one queue, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from common import aws_clients
from common.observability import count, lambda_entry, logger, write_counts
from dlq_redrive.arns import Home
from dlq_redrive.bindings import Bindings
from dlq_redrive.counted_redrive import CountedRedrive
from dlq_redrive.dead_letter_quarantine import DeadLetterQuarantine
from dlq_redrive.pace import Pace
from dlq_redrive.queue_lock import QueueLock
from dlq_redrive.queue_plan import QueuePlan
from dlq_redrive.redrive_counts import RedriveCounts
from dlq_redrive.redrive_decision import Decider
from dlq_redrive.redrive_planning import redrives_left
from dlq_redrive.redrive_tally import Tally
from dlq_redrive.senders import Clients, Sender
from dlq_redrive.settings import RedriveSettings, redrive_settings
from dlq_redrive.ways_back import Ways

_LAST_SECONDS = 20.0
"""What the message that is in hand when the time ends may still take, apart from waiting for functions."""


@lambda_entry
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Called by the redrive workflow, again and again, with `{"execution", "owner", "queue", "totals"}`:

    - `execution`, the name of the execution, by which its redrives are counted;
    - `owner`, its ARN, which must be the owner in the queue's lock;
    - `queue`, the plan of the queue. Of its `maxRedrives` one is taken off where SQS has redriven the queue,
      as the lock says now: it may have done so since the plan was made;
    - `totals`, what the call before returned, or what SQS has moved (`{"redriven"}`), or null.

    Returns the counts since the execution began, `{received, redriven, quarantined, returned, failed,
    emptied, failures, reasons}`, and `more`: whether another call may move messages. `emptied` says that
    nothing more was received and nothing let go; `returned` messages died again since this execution has sent
    them back, and stay.

    What a call has counted it also writes down in the lock, after every batch: a call after one that was
    killed goes on from there.

    Raises `LockLost` before it touches anything more, and `RedriveThrottled`, `RedriveDenied`, `KeyDenied`,
    `QueueGone`, `TargetGone`, `TargetRefused` or `AwsCallFailed` when the call could move nothing; then all
    messages are where they were.
    """
    settings = redrive_settings()
    plan = QueuePlan.from_state(event["queue"])
    home = Home.of_function(context.invoked_function_arn)
    lock = QueueLock(aws_clients.dynamodb(), settings.table, plan.queue.name, event["owner"])
    held = lock.read()
    before = Tally.going_on_from(_farther(held.totals, event.get("totals")))
    moved, failed = before.moved, before.failed
    allowed = redrives_left(plan.max_redrives, held.bulk_at, datetime.now(UTC))
    bulk_at = held.bulk_at if allowed < plan.max_redrives else None
    plan = replace(plan, max_redrives=allowed)
    tally = _redrive(settings, plan, home, event["execution"], lock, before, bulk_at, context).run()
    result = tally.to_result()
    logger().info("messages redriven", queue=plan.queue.name, execution=event["execution"], **result)
    # What could not be handled was hidden when the queue looked empty, and may be now that others are gone.
    left = not tally.emptied or tally.failed > failed
    return {**result, "more": left and tally.moved > moved}


def _farther(written: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Of two tallies the one that has come farther: what was written down last may lack the last batches,
    where that write failed, and what was given those of a call that was killed."""
    tallies = (tally for tally in (written, given) if tally)
    return max(tallies, key=lambda tally: int(tally.get("received", 0)), default={})


def _redrive(
    settings: RedriveSettings,
    plan: QueuePlan,
    home: Home,
    execution: str,
    lock: QueueLock,
    tally: Tally,
    bulk_at: datetime | None,
    context: LambdaContext,
) -> CountedRedrive:
    queue = plan.queue
    sqs, dynamodb = aws_clients.sqs(), aws_clients.dynamodb()
    clients = Clients(
        sqs=aws_clients.sqs_once(),
        events=aws_clients.events_once(),
        functions=aws_clients.functions_once(),
        executions=aws_clients.stepfunctions(),
        streams=aws_clients.dynamodb_streams(),
        pipes=aws_clients.pipes(),
        firehose=aws_clients.firehose_once(),
    )
    bindings = Bindings(clients, aws_clients.scheduler(), queue, settings.stack)
    sender = Sender(clients, queue, bindings)
    reserved = _LAST_SECONDS + sender.longest_seconds
    ways = Ways(queue, home, settings.bus, plan.destination_arn)
    return CountedRedrive(
        queue=queue,
        sqs=sqs,
        counts=RedriveCounts(dynamodb, settings.table, queue.name, execution, context.aws_request_id),
        quarantine=DeadLetterQuarantine(aws_clients.s3(), settings.bucket),
        sender=sender,
        decider=Decider(ways, plan.max_redrives, settings.quarantine_after, execution),
        pace=Pace(plan.messages_per_second),
        clock=lambda: datetime.now(UTC),
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000 - reserved,
        tell=_tell,
        keep=lambda tally: lock.write(tally.to_result()),
        tally=tally,
        bulk_at=bulk_at,
    )


def _tell(redriven: int = 0, quarantined: int = 0) -> None:
    """Write metrics now: a call that is killed later has raised them."""
    count(DeadLettersRedriven=redriven, DeadLettersQuarantined=quarantined)
    write_counts()
