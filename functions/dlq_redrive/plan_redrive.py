"""First state of a redrive: check everything that can be wrong beforehand, find the queues, say what is to be
done with each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from common import aws_clients
from common.errors import InvalidInput
from common.instants import parse_instant
from common.observability import lambda_entry, logger
from common.table_values import text
from dlq_redrive.arns import Home
from dlq_redrive.aws_failures import named_failure
from dlq_redrive.dead_letter import DeadLetterQueue
from dlq_redrive.queue_discovery import dead_letter_queues
from dlq_redrive.queue_look import Look, forecast, look_at
from dlq_redrive.queue_plan import QueuePlan
from dlq_redrive.redrive_counts import RedriveCounts
from dlq_redrive.redrive_decision import Decider
from dlq_redrive.redrive_planning import broken_rule, chosen_queues, mode_of, redrives_left
from dlq_redrive.redrive_request import RedriveRequest, parse_redrive_request
from dlq_redrive.settings import RedriveSettings, redrive_settings
from dlq_redrive.table_keys import lock_key
from dlq_redrive.ways_back import Ways

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

_LOOKED_AT = 10
_LOOKED_AT_IN_A_DRY_RUN = 100


@lambda_entry
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Called by the redrive workflow with `{"execution", "request"}`: the execution's name and its input.

    Returns `{"startedBy", "dryRun", "waiting", "queues", "refused", "failed", "empty"}`:

    - `queues`: the plans (`QueuePlan.to_state`) of the queues in which something waits, in a dry run with a
      `forecast` each. `sources` is empty where no queue names the queue: then `mode` is `counted`, and SQS
      knows no move tasks of it.
    - `refused`: `[{"name", "reason"}]`, queues that cannot be redriven as asked, and the rule.
    - `failed`: `[{"name", "error", "reason"}]`, queues that could not be looked at: one of the errors below
      and its message. The others go first, then the run has failed, also where `queues` is empty.
    - `empty`: the names of queues in which nothing waits.

    Raises `InvalidSetting`; `InvalidInput` for a wrong input, or one that a queue which it names cannot
    follow, saying which rule it broke; and `RedriveThrottled`, `RedriveDenied`, `KeyDenied`, `QueueGone` or
    `AwsCallFailed` when no queue at all could be looked at.
    """
    settings = redrive_settings()
    home = Home.of_function(context.invoked_function_arn)
    request = parse_redrive_request(event["request"], home)
    planner = Planner(
        settings=settings,
        home=home,
        request=request,
        execution=event["execution"],
        sqs=aws_clients.sqs(),
        dynamodb=aws_clients.dynamodb(),
        clock=lambda: datetime.now(UTC),
    )
    try:
        planned = planner.plan()
    except (ClientError, BotoCoreError) as error:
        raise named_failure(error) from None
    logger().info(
        "redrive planned",
        started_by=request.started_by,
        dry_run=request.dry_run,
        waiting=planned["waiting"],
        queues=[one["name"] for one in planned["queues"]],
    )
    return {"startedBy": request.started_by, "dryRun": request.dry_run, **planned}


@dataclass(frozen=True)
class Planner:
    """Makes the plans of the queues that a request is about."""

    settings: RedriveSettings
    home: Home
    request: RedriveRequest
    execution: str
    sqs: SQSClient
    dynamodb: DynamoDBClient
    clock: Callable[[], datetime]

    def plan(self) -> dict[str, Any]:
        """Plans, refusals and the names of queues in which nothing waits."""
        queues: list[dict[str, Any]] = []
        refused: list[dict[str, str]] = []
        empty: list[str] = []
        for queue in chosen_queues(self.request, dead_letter_queues(self.sqs, self.settings.stack)):
            rule = broken_rule(self.request, queue)
            if rule is not None and self.request.queue_arn is not None:
                raise InvalidInput(rule)
            if rule is not None:
                refused.append({"name": queue.name, "reason": rule})
                continue
            look = look_at(self.sqs, queue, _LOOKED_AT_IN_A_DRY_RUN if self.request.dry_run else _LOOKED_AT)
            if look.waiting:
                queues.append(self._plan_of(queue, look))
            else:
                empty.append(queue.name)
        waiting = sum(one["waiting"] for one in queues)
        return {"waiting": waiting, "queues": queues, "refused": refused, "failed": [], "empty": empty}

    def _plan_of(self, queue: DeadLetterQueue, look: Look) -> dict[str, Any]:
        ages = look.ages(self.clock())
        redriven_at, bulk_at = self._redriven_at(queue)
        mode = mode_of(
            self.request,
            queue,
            redriven_at=redriven_at,
            oldest=ages[0] if ages else None,
            now=self.clock(),
            cool_down=self.settings.cool_down,
            quarantine_after=self.settings.quarantine_after,
        )
        plan = QueuePlan(
            queue=queue,
            mode=mode,
            max_redrives=redrives_left(self.request, self.settings.max_redrives, bulk_at, self.clock()),
            messages_per_second=self.request.max_messages_per_second or self.settings.messages_per_second,
            destination_arn=self.request.destination_arn,
            waiting=look.waiting,
            oldest_seconds=int(ages[0].total_seconds()) if ages else None,
        )
        if not self.request.dry_run:
            return plan.to_state()
        return {**plan.to_state(), "forecast": self._forecast(plan, look)}

    def _forecast(self, plan: QueuePlan, look: Look) -> dict[str, Any]:
        ways = Ways(plan.queue, self.home, self.settings.bus, plan.destination_arn)
        decider = Decider(ways, plan.max_redrives, self.settings.quarantine_after, self.execution)
        counts = RedriveCounts(self.dynamodb, self.settings.table, plan.queue.name, self.execution)
        return forecast(look, plan.queue, counts, decider, self.clock)

    def _redriven_at(self, queue: DeadLetterQueue) -> tuple[datetime | None, datetime | None]:
        """When a queue was last redriven, and when SQS itself last began to. A redrive that was stopped has
        not written down its end."""
        answer = self.dynamodb.get_item(
            TableName=self.settings.table, Key=lock_key(queue.name), ConsistentRead=True
        )
        item = answer.get("Item", {})
        ended, bulk = (_instant(text(item, name)) for name in ("redrivenAt", "bulkAt"))
        return max((one for one in (ended, bulk) if one is not None), default=None), bulk


def _instant(written: str | None) -> datetime | None:
    return None if written is None else parse_instant(written)
