"""Makes the plans of the queues that a request is about, each for itself: one that cannot be looked at keeps
no other from its redrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from common.errors import HubError, InvalidInput
from common.instants import parse_instant
from common.observability import logger, presentable
from common.table_values import text
from dlq_redrive.arns import Home, name_of_queue
from dlq_redrive.aws_failures import named_failure
from dlq_redrive.dead_letter import DeadLetterQueue
from dlq_redrive.errors import NotLookedAt
from dlq_redrive.queue_calls import BATCH
from dlq_redrive.queue_discovery import Found, find_dead_letter_queues
from dlq_redrive.queue_look import MOST_LOOKED_AT, Forecast, Look, look_at
from dlq_redrive.queue_plan import QueuePlan
from dlq_redrive.redrive_counts import RedriveCounts
from dlq_redrive.redrive_decision import Decider
from dlq_redrive.redrive_planning import (
    Circumstances,
    broken_rule,
    chosen_queues,
    leads_nowhere,
    mode_of,
    redrives_left,
    require_own_destination,
    require_redrives_left,
    why_not_bulk,
)
from dlq_redrive.redrive_request import BULK, RedriveRequest
from dlq_redrive.settings import RedriveSettings
from dlq_redrive.table_keys import lock_key
from dlq_redrive.ways_back import Ways

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

_NOWHERE = (
    "No queue of the stack names it as its dead-letter queue, and no message that was looked at says where it"
    " died: choose a 'destinationArn'."
)

_LEFT_FOR_A_LOOK, _LEFT_FOR_A_GLANCE = 60, 20
"""Seconds of a call that must be left to look at a queue as closely as ever, or at ten of its messages."""

_NO_TIME = "Other queues took all the time of the plan: redrive this one by its 'queueArn'."


@dataclass
class Planned:
    """What was found out about queues, sorted by what comes of them."""

    queues: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)
    failures: dict[str, HubError] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)

    def to_state(self) -> dict[str, Any]:
        """As the state machine carries it."""
        failed = [
            {"name": name, "error": type(failure).__name__, "reason": str(failure)}
            for name, failure in sorted(self.failures.items())
        ]
        return {
            "waiting": sum(one["waiting"] for one in self.queues),
            "queues": self.queues,
            "refused": self.refused,
            "failed": failed,
            "empty": self.empty,
        }


@dataclass(frozen=True)
class Planner:
    """Makes the plans of one request. `execution` is the name of the execution that asks; `seconds_left`
    tells how long the call may still take: when that is not much any more, queues are looked at less closely,
    and the last ones not at all."""

    settings: RedriveSettings
    home: Home
    request: RedriveRequest
    execution: str
    sqs: SQSClient
    dynamodb: DynamoDBClient
    clock: Callable[[], datetime]
    seconds_left: Callable[[], float]

    def plan(self) -> Planned:
        """Plans, refusals, failures and the names of queues in which nothing waits. Raises `InvalidInput` for
        a queue that is asked for by its name and cannot be redriven so, and the first failure when there is
        nothing else."""
        found = find_dead_letter_queues(self.sqs, self.settings.stack)
        planned = Planned(failures=dict(found.failures) if self.request.queue_arn is None else {})
        for queue in self._chosen(found):
            try:
                self._plan(queue, found, planned)
            except InvalidInput as rule:
                if self.request.queue_arn is not None:
                    raise
                planned.refused.append({"name": queue.name, "reason": str(rule)})
            except (ClientError, BotoCoreError) as error:
                planned.failures[queue.name] = named_failure(error)
            except Exception as error:  # a queue that breaks the code must not keep the others from theirs
                planned.failures[queue.name] = presentable(error)
        _report(planned)
        return planned

    def _chosen(self, found: Found) -> list[DeadLetterQueue]:
        asked = self.request.queue_arn
        failure = None if asked is None else found.failures.get(name_of_queue(asked))
        if failure is not None:
            raise failure
        return chosen_queues(self.request, found.queues)

    def _plan(self, queue: DeadLetterQueue, found: Found, planned: Planned) -> None:
        """Add what comes of a queue. Raises `InvalidInput` with the rule that it cannot follow."""
        rule = broken_rule(self.request, queue)
        if rule is not None and self.request.queue_arn is not None:
            raise InvalidInput(rule)
        require_own_destination(self.request, found, self.settings.stack)
        look = look_at(self.sqs, queue, self._most_looked_at())
        if not look.waiting:
            planned.empty.append(queue.name)
            return
        if rule is not None:
            raise InvalidInput(rule)
        planned.queues.append(self._plan_of(queue, look, found))

    def _most_looked_at(self) -> int:
        """Messages to look at in the next queue. Raises `NotLookedAt` when there is no time for it."""
        left = self.seconds_left()
        if left < _LEFT_FOR_A_GLANCE:
            raise NotLookedAt(_NO_TIME)
        return MOST_LOOKED_AT if left >= _LEFT_FOR_A_LOOK else BATCH

    def _plan_of(self, queue: DeadLetterQueue, look: Look, found: Found) -> dict[str, Any]:
        oldest = max(look.ages(self.clock()), default=None)
        redriven_at, bulk_at = self._redriven_at(queue)
        require_redrives_left(self.request, bulk_at, self.clock())
        allowed = self.request.max_redrives or self.settings.max_redrives
        circumstances = Circumstances(
            max_redrives=allowed,
            redriven_at=redriven_at,
            oldest=oldest,
            now=self.clock(),
            cool_down=self.settings.cool_down,
            quarantine_after=self.settings.quarantine_after,
        )
        if leads_nowhere(self.request, queue, look.sources()) and not circumstances.too_old:
            # Where a queue could not be read, it may be the one that names this one.
            raise next(iter(found.unread), InvalidInput(_NOWHERE))
        mode = mode_of(self.request, queue, circumstances)
        plan = QueuePlan(
            queue=queue,
            mode=mode,
            max_redrives=allowed,
            messages_per_second=self.request.max_messages_per_second or self.settings.messages_per_second,
            destination_arn=self.request.destination_arn,
            waiting=look.waiting,
            oldest_seconds=None if oldest is None else int(oldest.total_seconds()),
        )
        if not self.request.dry_run:
            return plan.to_state()
        why = why_not_bulk(self.request, queue, circumstances) if self.request.mode is None else None
        return {**plan.to_state(), "forecast": {**self._forecast(plan, look, bulk_at), "whyCounted": why}}

    def _forecast(self, plan: QueuePlan, look: Look, bulk_at: datetime | None) -> dict[str, Any]:
        # What SQS leaves behind is redriven one by one, and what it has moved may come back meanwhile.
        begun = self.clock() if plan.mode == BULK else bulk_at
        left = redrives_left(plan.max_redrives, begun, self.clock())
        ways = Ways(plan.queue, self.home, self.settings.bus, plan.destination_arn)
        decider = Decider(ways, left, self.settings.quarantine_after, self.execution)
        counts = RedriveCounts(self.dynamodb, self.settings.table, plan.queue.name, self.execution)
        return Forecast(plan, counts, decider, self.clock).of(look)

    def _redriven_at(self, queue: DeadLetterQueue) -> tuple[datetime | None, datetime | None]:
        """When a redrive of a queue last began or ended, as far as it wrote that down, and when SQS itself
        last began one. A redrive that was stopped has not written down its end, but still since when it has
        the lock."""
        answer = self.dynamodb.get_item(
            TableName=self.settings.table, Key=lock_key(queue.name), ConsistentRead=True
        )
        item = answer.get("Item", {})
        bulk = _instant(text(item, "bulkAt"))
        last = (bulk, *(_instant(text(item, name)) for name in ("redrivenAt", "takenAt")))
        return max((one for one in last if one is not None), default=None), bulk


def _report(planned: Planned) -> None:
    """Log what failed; raise the first failure when nothing at all could be looked at."""
    for name, failure in planned.failures.items():
        logger().warning("queue not planned", queue=name, error=type(failure).__name__, reason=str(failure))
    if planned.failures and not (planned.queues or planned.refused or planned.empty):
        raise next(iter(planned.failures.values()))


def _instant(written: str | None) -> datetime | None:
    return None if written is None else parse_instant(written)
