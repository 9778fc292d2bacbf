"""The dead-letter queues of the stack, found by their tags.

`ListQueues` gives the queues whose names begin as CloudFormation names those of the stack, `ListQueueTags`
their tags: `redrive-kind`, and `redrive-stack`, which every queue of the stack has and which tells it from
another whose name begins alike. CloudFormation's own tags do not reach queues: SQS takes none that begin with
`aws:`. The Resource Groups Tagging API would answer in one call, but only those who may read the tags of
everything in the account; of SQS's actions only `ListQueues` names no resource («Using policies with Amazon
SQS», Amazon SQS Developer Guide), and it tells nothing but names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from common.errors import InvalidSetting
from dlq_redrive.dead_letter import KINDS, DeadLetterQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

KIND_TAG = "redrive-kind"
STACK_TAG = "redrive-stack"

_PAGE = 1000


def dead_letter_queues(sqs: SQSClient, stack: str) -> list[DeadLetterQueue]:
    """Every dead-letter queue of the stack with the queues that name it, by name. Raises `InvalidSetting`
    when one has a kind that nobody knows."""
    kinds: dict[tuple[str, str], str] = {}
    sources: dict[str, list[str]] = {}
    for url in _urls(sqs, f"{stack}-"):
        tags = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
        if tags.get(STACK_TAG) != stack:
            continue
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "RedrivePolicy"])[
            "Attributes"
        ]
        arn = attributes["QueueArn"]
        if policy := attributes.get("RedrivePolicy"):
            sources.setdefault(json.loads(policy)["deadLetterTargetArn"], []).append(arn)
        if KIND_TAG in tags:
            kinds[url, arn] = _known(tags[KIND_TAG])
    queues = [
        DeadLetterQueue(url, arn, kind, tuple(sorted(sources.get(arn, []))))
        for (url, arn), kind in kinds.items()
    ]
    return sorted(queues, key=lambda queue: queue.name)


def _urls(sqs: SQSClient, prefix: str) -> Iterator[str]:
    pages = sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=prefix, PaginationConfig={"PageSize": _PAGE}
    )
    for page in pages:
        yield from page.get("QueueUrls", [])


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise InvalidSetting(f"The tag {KIND_TAG} of a queue must be one of {', '.join(KINDS)}.")
    return kind
