"""The dead-letter queues of the stack, found by their tags.

`ListQueues` gives the queues whose names begin as CloudFormation names those of the stack, `ListQueueTags`
their tags: `redrive-kind`, and `redrive-stack`, which every queue of the stack has and which tells it from
another whose name begins alike; one whose name has more parts than CloudFormation makes is not asked.
CloudFormation's own tags do not reach queues: SQS takes none that begin with `aws:`. The Resource Groups
Tagging API would answer in one call, but only those who may read the tags of everything in the account; of
SQS's actions only `ListQueues` names no resource («Using policies with Amazon SQS», Amazon SQS Developer
Guide), and it tells nothing but names.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from common.errors import HubError, InvalidSetting
from dlq_redrive.arns import is_of_stack, name_of_queue
from dlq_redrive.aws_failures import named_failure
from dlq_redrive.dead_letter import KINDS, DeadLetterQueue

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

KIND_TAG = "redrive-kind"
STACK_TAG = "redrive-stack"

_PAGE = 1000


@dataclass(frozen=True)
class Found:
    """The dead-letter queues of a stack by name, and by name what is wrong with others: `InvalidSetting`
    where the tag `redrive-kind` is wrong or forgotten, else what kept one from being read."""

    queues: tuple[DeadLetterQueue, ...]
    failures: Mapping[str, HubError]
    names: frozenset[str]
    """Of every queue that is named as the stack's and has no tag of another: it may be sent to."""

    @property
    def unread(self) -> list[HubError]:
        """The failures of queues of which is not known what they name as their dead-letter queue."""
        return [one for one in self.failures.values() if not isinstance(one, InvalidSetting)]


@dataclass(frozen=True)
class _Queue:
    url: str
    arn: str
    kind: str | None
    dead_letters: str | None
    """The ARN of its own dead-letter queue."""


def find_dead_letter_queues(sqs: SQSClient, stack: str) -> Found:
    """Every dead-letter queue of the stack with the queues that name it. One that is gone is told, too:
    SQS lists it for up to a minute («DeleteQueue», Amazon SQS API Reference), and may say so of what it
    denies."""
    queues: list[_Queue] = []
    failures: dict[str, HubError] = {}
    names: set[str] = set()
    for url in _urls(sqs, stack):
        try:
            tags = _tags(sqs, url)
            if tags.get(STACK_TAG, stack) == stack:
                names.add(_name_in(url))
            if tags.get(STACK_TAG) == stack:
                queues.append(_read(sqs, url, tags.get(KIND_TAG)))
        except HubError as failure:
            failures[_name_in(url)] = failure
    wrong = {name_of_queue(one.arn): _wrong_tag(one, queues) for one in queues}
    failures |= {name: InvalidSetting(rule) for name, rule in wrong.items() if rule is not None}
    found = [
        DeadLetterQueue(
            one.url,
            one.arn,
            one.kind,
            tuple(sorted(own.arn for own in queues if own.dead_letters == one.arn)),
        )
        for one in queues
        if one.kind is not None and one.kind in KINDS
    ]
    return Found(tuple(sorted(found, key=lambda queue: queue.name)), failures, frozenset(names))


def _tags(sqs: SQSClient, url: str) -> Mapping[str, str]:
    """Raises its failures by name."""
    try:
        return sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
    except (ClientError, BotoCoreError) as error:
        raise named_failure(error) from None


def _read(sqs: SQSClient, url: str, kind: str | None) -> _Queue:
    """A queue of the stack. Raises its failures by name."""
    try:
        asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "RedrivePolicy"])
    except (ClientError, BotoCoreError) as error:
        raise named_failure(error) from None
    attributes = asked["Attributes"]
    policy = attributes.get("RedrivePolicy")
    dead_letters = json.loads(policy)["deadLetterTargetArn"] if policy else None
    return _Queue(url, attributes["QueueArn"], kind, dead_letters)


def _wrong_tag(queue: _Queue, queues: Sequence[_Queue]) -> str | None:
    """What is wrong with the tag of a queue that may be a dead-letter queue."""
    if queue.kind is None and any(one.dead_letters == queue.arn for one in queues):
        return f"A queue of the stack names it as its dead-letter queue, but it has no tag {KIND_TAG}."
    if queue.kind is not None and queue.kind not in KINDS:
        return f"The tag {KIND_TAG} of a queue must be one of {', '.join(KINDS)}."
    return None


def _urls(sqs: SQSClient, stack: str) -> Iterator[str]:
    pages = sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=f"{stack}-", PaginationConfig={"PageSize": _PAGE}
    )
    for page in pages:
        yield from (url for url in page.get("QueueUrls", []) if is_of_stack(_name_in(url), stack))


def _name_in(url: str) -> str:
    return url.rpartition("/")[2]
