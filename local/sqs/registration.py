"""Joins message-move tasks, the list of a dead-letter queue's sources, and tags as SQS takes them, to
ministack's SQS, over both of its protocols.

Whoever starts a task needs rights on both queues and their keys; ministack's door asks for the one action,
and the rest is asked for here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from local.account.caller import Caller
from local.account.ministack_names import ministack
from local.sqs import deduplication, move_pauses, queue_lock
from local.sqs.ministack_queues import MinistackQueues
from local.sqs.move_tasks import MoveRefused, named_by_handle
from local.sqs.moving import Denied, MoveTasks

Data = Mapping[str, Any]

_PARAMETERS = ("SourceArn", "DestinationArn", "MaxNumberOfMessagesPerSecond", "TaskHandle")
_MEMBERS = {
    "StartMessageMoveTask": {"TaskHandle": "TaskHandle"},
    "CancelMessageMoveTask": {"ApproximateNumberOfMessagesMoved": "ApproximateNumberOfMessagesMoved"},
    "ListMessageMoveTasks": {"Results": "ListMessageMoveTasksResultEntry"},
    "ListDeadLetterSourceQueues": {"queueUrls": "QueueUrl", "NextToken": "NextToken"},
}
"""The members of each action's result, and the XML elements that they are told in."""


def register() -> None:
    """Let SQS move messages as on AWS."""
    queue_lock.register()
    deduplication.register()
    sqs = ministack("ministack.services.sqs")
    queues = MinistackQueues()
    tasks = MoveTasks(queues)
    move_pauses.register(tasks)
    sqs._HANDLERS.update(
        StartMessageMoveTask=_answering(tasks.start),
        ListMessageMoveTasks=_answering(tasks.list),
        CancelMessageMoveTask=_answering(tasks.cancel),
        ListDeadLetterSourceQueues=_listing_sources(queues),
        ListQueueTags=_without_tags_of_aws(sqs._HANDLERS["ListQueueTags"]),
    )
    sqs._normalise = _with_parameters(sqs._normalise)
    sqs._to_xml = _with_results(sqs._to_xml)
    sqs.reset = _resetting(tasks, sqs.reset)
    actions = ministack("ministack.core.iam_actions")
    actions.extract_resource_arn = with_moved_queues(actions.extract_resource_arn)
    actions.extract_iam_action = with_actions_of_batches(actions.extract_iam_action)


def _answering(act: Callable[[Data, Denied], dict[str, Any]]) -> Callable[[Data, str], dict[str, Any]]:
    def handle(data: Data, _queue_url: str) -> dict[str, Any]:
        try:
            return act(data, Caller.of_this_request().denied)
        except MoveRefused as refusal:
            error = ministack("ministack.services.sqs")._Err
            raise error(refusal.code, refusal.message, refusal.status) from None

    return handle


def _listing_sources(queues: MinistackQueues) -> Callable[[Data, str], dict[str, Any]]:
    """ListDeadLetterSourceQueues. AWS documentation: the page of that name of the SQS API Reference."""

    def handle(data: Data, queue_url: str) -> dict[str, Any]:
        sqs = ministack("ministack.services.sqs")
        queue = sqs._get_q(data.get("QueueUrl") or queue_url, "sqs:ListDeadLetterSourceQueues")
        urls = [source["url"] for source in queues.sources(queue["attributes"]["QueueArn"])]
        first, most = int(data.get("NextToken") or 0), data.get("MaxResults")
        if most is None:
            return {"queueUrls": urls[:1000]}
        last = first + int(most)
        return {"queueUrls": urls[first:last], **({"NextToken": str(last)} if last < len(urls) else {})}

    return handle


def _without_tags_of_aws(shipped: Callable[[Data, str], Data]) -> Callable[[Data, str], Data]:
    """ListQueueTags. ministack's CloudFormation tags every queue with its stack; SQS takes no tags that begin
    with `aws:`, so that CloudFormation leaves queues without them."""

    def handle(data: Data, queue_url: str) -> Data:
        tags = shipped(data, queue_url)["Tags"]
        return {"Tags": {name: value for name, value in tags.items() if not name.startswith("aws:")}}

    return handle


def with_actions_of_batches(shipped: Callable[..., str | None]) -> Callable[..., str | None]:
    """What a request for a batch has to be allowed: the action of a single message, since there are none for
    batches (Service Authorization Reference, «Actions, resources, and condition keys for Amazon SQS»)."""

    def iam_action(*request: Any) -> str | None:
        action = shipped(*request)
        return action.removesuffix("Batch") if action is not None and action.startswith("sqs:") else action

    return iam_action


def with_moved_queues(shipped: Callable[..., str]) -> Callable[..., str]:
    """What the permission to start, list or cancel a task is asked for: the dead-letter queue."""

    def resource_arn(
        service: str, method: str, path: str, headers: Data, body: bytes, query: Data, *rest: Any
    ) -> str:
        if service == "sqs":
            data = _data(headers, body, query)
            if isinstance(data.get("SourceArn"), str):
                return str(data["SourceArn"])
            if data.get("TaskHandle"):
                try:
                    return named_by_handle(data["TaskHandle"])[1]
                except MoveRefused:
                    return "*"
        return shipped(service, method, path, headers, body, query, *rest)

    return resource_arn


def _data(headers: Data, body: bytes, query: Data) -> Data:
    """The parameters of a request, of either protocol."""
    if not headers.get("x-amz-target"):
        first = ministack("ministack.services.sqs")._p
        return {name: first(query, name) or None for name in _PARAMETERS}
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _with_parameters(shipped: Callable[[str, Data], dict[str, Any]]) -> Callable[[str, Data], dict[str, Any]]:
    def normalise(action: str, params: Data) -> dict[str, Any]:
        first = ministack("ministack.services.sqs")._p
        given = {name: first(params, name) for name in _PARAMETERS if name in params}
        return {**shipped(action, params), **given}

    return normalise


def _with_results(shipped: Callable[[str, Data], Any]) -> Callable[[str, Data], Any]:
    def to_xml(action: str, result: Data) -> Any:
        if action not in _MEMBERS:
            return shipped(action, result)
        inner = "".join(
            f"<{element}>{_xml(value)}</{element}>"
            for member, element in _MEMBERS[action].items()
            if member in result
            for value in _listed(result[member])
        )
        respond = ministack("ministack.services.sqs")._xml_resp
        return respond(200, f"{action}Response", f"<{action}Result>{inner}</{action}Result>")

    return to_xml


def _xml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "".join(f"<{name}>{_xml(member)}</{name}>" for name, member in value.items())
    return escape(str(value))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _resetting(tasks: MoveTasks, shipped: Callable[[], None]) -> Callable[[], None]:
    def reset() -> None:
        tasks.reset()
        shipped()

    return reset
