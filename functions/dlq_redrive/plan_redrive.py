"""First state of a redrive: check everything that can be wrong beforehand, find the queues, say what is to be
done with each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from common import aws_clients
from common.instants import format_instant
from common.observability import lambda_entry, logger
from dlq_redrive.arns import Home
from dlq_redrive.aws_failures import named_failure
from dlq_redrive.queue_planner import Planner
from dlq_redrive.redrive_request import RedriveRequest, parse_redrive_request
from dlq_redrive.settings import redrive_settings

_UNKNOWN_OWNER_IS_STALE_AFTER = timedelta(hours=1)


@lambda_entry
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Called by the redrive workflow with `{"execution": {"arn", "name", "startedAt"}, "request"}`, the
    request being the input of the execution.

    Returns `{"startedBy", "dryRun", "anHourAgo", "waiting", "queues", "refused", "failed", "empty"}`:

    - `queues`: the plans (`QueuePlan.to_state`) of the queues in which something waits, in a dry run with a
      `forecast` each. `sources` is empty where no queue names the queue: then `mode` is `counted`, and SQS
      knows no move tasks of it.
    - `refused`: `[{"name", "reason"}]`, queues that cannot be redriven as asked, and the rule.
    - `failed`: `[{"name", "error", "reason"}]`, queues that could not be looked at: one of the errors below
      and its message, or `NotLookedAt` for those that no time was left for. The others go first, then the run
      has failed, also where `queues` is empty.
    - `empty`: the names of queues in which nothing waits.
    - `anHourAgo`: the instant before which a lock must have been taken to be taken over from an owner that
      Step Functions does not know: «The DescribeExecution action is eventually consistent».

    Raises `InvalidSetting`; `InvalidInput` for a wrong input, or one that a queue which it names cannot
    follow, saying which rule it broke; and `RedriveThrottled`, `RedriveDenied`, `KeyDenied`, `QueueGone` or
    `AwsCallFailed` when no queue at all could be looked at.
    """
    home = Home.of_function(context.invoked_function_arn)
    request = parse_redrive_request(event["request"], home)
    planned = _planned(event["execution"]["name"], request, home, context)
    logger().info(
        "redrive planned",
        started_by=request.started_by,
        dry_run=request.dry_run,
        waiting=planned["waiting"],
        queues=[one["name"] for one in planned["queues"]],
    )
    return {"startedBy": request.started_by, "dryRun": request.dry_run, **planned}


def _planned(execution: str, request: RedriveRequest, home: Home, context: LambdaContext) -> dict[str, Any]:
    try:
        planner = Planner(
            settings=redrive_settings(),
            home=home,
            request=request,
            execution=execution,
            sqs=aws_clients.sqs(),
            dynamodb=aws_clients.dynamodb(),
            clock=lambda: datetime.now(UTC),
            seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
        )
        planned = planner.plan().to_state()
    except (ClientError, BotoCoreError) as error:
        raise named_failure(error) from None
    an_hour_ago = format_instant(planner.clock() - _UNKNOWN_OWNER_IS_STALE_AFTER)
    return {"anHourAgo": an_hour_ago, **planned}
