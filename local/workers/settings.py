"""The settings of a worker on the queue of a stack in the local account."""

from __future__ import annotations

from collections.abc import Mapping

from local.account.state_file import RunningAccount

QUICK: Mapping[str, str] = {
    "WAIT_SECONDS": "1",
    "VISIBILITY_SECONDS": "6",
    "DRAIN_SECONDS": "5",
    "RETRY_SECONDS": "1",
}
"""Times for a person or a test that waits: what is lost comes back within seconds."""


def worker_settings(
    account: RunningAccount, stack_name: str, outputs: Mapping[str, str], more: Mapping[str, str] = QUICK
) -> dict[str, str]:
    """The environment of a worker, which finds the queue and the table in the stack's outputs.

    There is no instance whose metadata could tell of its end, and a free port is taken for the health
    endpoint.
    """
    return {
        "AWS_ENDPOINT_URL": account.endpoint,
        "AWS_REGION": account.region,
        "AWS_DEFAULT_REGION": account.region,
        "AWS_ACCESS_KEY_ID": account.access_key_id,
        "AWS_SECRET_ACCESS_KEY": account.secret_access_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "STACK_NAME": stack_name,
        "JOBS_QUEUE_URL": outputs["JobsQueueUrl"],
        "JOBS_TABLE": outputs["JobsTableName"],
        "METADATA_ENDPOINT": "",
        "HEALTH_PORT": "0",
        **more,
    }
