"""Where something that is sent could be lost, read from the template: what sends, and which queue takes what
fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from local.testing.template_reader import Expanded, references, statements, text

DAY = 86_400
DEAD_LETTERS_KEPT = 14 * DAY
SOURCES_KEPT = 4 * DAY


def dead_letter_kinds(expanded: Expanded) -> dict[str, set[str]]:
    """Every queue that takes failures, and what kinds of things fail into it."""
    found: dict[str, set[str]] = {}
    for kind, queue_arn in _failures(expanded):
        for name in references(queue_arn):
            found.setdefault(name, set()).add(kind)
    return found


def _failures(expanded: Expanded) -> Iterator[tuple[str, Any]]:
    """Kinds of failures, each with the ARN of where they go, which may be nowhere."""
    for queue in expanded.of_type("AWS::SQS::Queue").values():
        yield "sqs", queue.get("RedrivePolicy", {}).get("deadLetterTargetArn")
    for rule in expanded.of_type("AWS::Events::Rule").values():
        yield from (("rule", _dead_letters(target)) for target in rule["Targets"])
    for bus in expanded.of_type("AWS::Events::EventBus").values():
        yield "bus", _dead_letters(bus)
    for schedule in expanded.of_type("AWS::Scheduler::Schedule").values():
        yield "schedule", _dead_letters(schedule["Target"])
    for config in expanded.of_type("AWS::Lambda::EventInvokeConfig").values():
        yield "async", _destination(config)
    for mapping in expanded.of_type("AWS::Lambda::EventSourceMapping").values():
        # A bucket keeps the records themselves, and is no queue to be redriven.
        if not references(_destination(mapping)) & expanded.of_type("AWS::S3::Bucket").keys():
            yield "stream", _destination(mapping)
    for subscription in expanded.of_type("AWS::SNS::Subscription").values():
        # What a topic could not give to a function, which it calls asynchronously.
        yield "async", subscription.get("RedrivePolicy", {}).get("deadLetterTargetArn")
    for pipe in expanded.of_type("AWS::Pipes::Pipe").values():
        yield from (("pipe", _dead_letters(source)) for source in _streams(pipe))


def _dead_letters(settings: Mapping[str, Any]) -> Any:
    return settings.get("DeadLetterConfig", {}).get("Arn")


def _destination(config: Mapping[str, Any]) -> Any:
    """Where an asynchronous call, or a batch of a stream, goes when it has failed."""
    return config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")


def _streams(pipe: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """How a pipe reads its stream; nothing for a pipe that reads something else, such as a queue."""
    parameters = pipe.get("SourceParameters", {})
    return [one for name, one in parameters.items() if name.endswith("StreamParameters")]


def findings(expanded: Expanded) -> list[str]:
    """Where something that is sent could be lost, one line each."""
    rules = (
        _queue_faults,
        _polling_faults,
        _stream_faults,
        _pipe_faults,
        _rule_faults,
        _bus_faults,
        _schedule_faults,
        _asynchronous_faults,
        _subscription_faults,
    )
    return [fault for rule in rules for fault in rule(expanded)]


def _queue_faults(expanded: Expanded) -> Iterator[str]:
    dead_letters = dead_letter_kinds(expanded)
    for name, queue in expanded.of_type("AWS::SQS::Queue").items():
        kept = queue.get("MessageRetentionPeriod", SOURCES_KEPT)
        tags = {tag["Key"]: text(tag["Value"]) for tag in queue.get("Tags", [])}
        if tags.get("redrive-stack") != "${AWS::StackName}":
            yield f"{name} does not say of which stack it is"
        if name in dead_letters:
            if kept != DEAD_LETTERS_KEPT:
                yield f"{name} keeps dead letters {kept} seconds"
            if {tags.get("redrive-kind")} != dead_letters[name]:
                yield f"{name} has the redrive-kind {tags.get('redrive-kind')}"
        else:
            if kept > SOURCES_KEPT:
                yield f"{name} keeps messages {kept} seconds"
            if "RedrivePolicy" not in queue:
                yield f"{name} has no dead-letter queue"


def _polling_faults(expanded: Expanded) -> Iterator[str]:
    """Faults of functions that take from queues."""
    for name, mapping in expanded.of_type("AWS::Lambda::EventSourceMapping").items():
        if not _reads_a_queue(mapping["EventSourceArn"], expanded):
            continue
        (queue,) = references(mapping["EventSourceArn"])
        (function,) = references(mapping["FunctionName"])
        visible_after = expanded.properties(queue).get("VisibilityTimeout", 30)
        if mapping.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{name} does not report failures one by one"
        if visible_after < 6 * expanded.properties(function)["Timeout"]:
            yield f"{queue} shows messages again after {visible_after} seconds"


def _reads_a_queue(source: Any, expanded: Expanded) -> bool:
    return bool(references(source) & expanded.of_type("AWS::SQS::Queue").keys())


def _stream_faults(expanded: Expanded) -> Iterator[str]:
    """Faults of functions that read streams: a batch that fails is lost once its records are too old."""
    for name, mapping in expanded.of_type("AWS::Lambda::EventSourceMapping").items():
        if not _reads_a_queue(mapping["EventSourceArn"], expanded):
            (function,) = references(mapping["FunctionName"])
            (role,) = references(expanded.properties(function)["Role"])
            yield from _reading_faults(name, mapping, _destination(mapping), role, expanded)


def _pipe_faults(expanded: Expanded) -> Iterator[str]:
    """Faults of pipes that read streams; what a pipe reads of a queue stays there, and has its queue."""
    for name, pipe in expanded.of_type("AWS::Pipes::Pipe").items():
        if not _reads_a_queue(pipe["Source"], expanded):
            (role,) = references(pipe["RoleArn"])
            source = next(iter(_streams(pipe)), {})
            yield from _reading_faults(name, source, _dead_letters(source), role, expanded)


def _reading_faults(
    name: str, settings: Mapping[str, Any], destination: Any, role: str, expanded: Expanded
) -> Iterator[str]:
    """Faults of one reader of a stream. -1, the default of both bounds, is none («CreateEventSourceMapping»,
    AWS Lambda API Reference; «PipeSourceDynamoDBStreamParameters», EventBridge Pipes API Reference). A bucket
    is as good as a queue («Capturing discarded batches for a DynamoDB event source», AWS Lambda Developer
    Guide)."""
    queues = references(destination) & expanded.of_type("AWS::SQS::Queue").keys()
    buckets = references(destination) & expanded.of_type("AWS::S3::Bucket").keys()
    for bucket in sorted(buckets):
        if f"${{{bucket}.Arn}}/aws/lambda/*" not in expanded.resources_for(role, "s3:PutObject"):
            yield f"{name} may not write to {bucket}"
        if f"${{{bucket}.Arn}}" not in expanded.resources_for(role, "s3:ListBucket"):
            yield f"{name} may not look for {bucket}"
    if not queues | buckets:
        yield f"{name} has no dead-letter queue"
    bounds = ("MaximumRecordAgeInSeconds", "MaximumRetryAttempts")
    if all(settings.get(bound, -1) == -1 for bound in bounds):
        yield f"{name} has unbounded retries"
    for queue in sorted(queues):
        if not _may_send(role, queue, expanded):
            yield f"{name} may not send to {queue}"


def _may_send(role: str, queue: str, expanded: Expanded) -> bool:
    sendable = expanded.resources_for(role, "sqs:SendMessage")
    return any(one.endswith((f":${{{queue}.QueueName}}", f"${{{queue}.Arn}}")) for one in sendable)


def _rule_faults(expanded: Expanded) -> Iterator[str]:
    for name, rule in expanded.of_type("AWS::Events::Rule").items():
        for target in rule["Targets"]:
            receivers = references(target["Arn"]) | references(target.get("DeadLetterConfig", {}))
            queues = receivers & expanded.of_type("AWS::SQS::Queue").keys()
            if "DeadLetterConfig" not in target:
                yield f"{name} has a target without a dead-letter queue"
            if not target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds"):
                yield f"{name} has a target with unbounded retries"
            for queue in sorted(queues - _queues_open_to(name, expanded)):
                yield f"{name} may not send to {queue}"
            if not _may_start(target, expanded):
                yield f"{name} may not start its target"


def _may_start(target: Mapping[str, Any], expanded: Expanded) -> bool:
    """Whether the target's role may start it, if it is a state machine."""
    if not references(target["Arn"]) & expanded.of_type("AWS::StepFunctions::StateMachine").keys():
        return True
    (role,) = references(target["RoleArn"])
    return text(target["Arn"]) in expanded.resources_for(role, "states:StartExecution")


def _bus_faults(expanded: Expanded) -> Iterator[str]:
    """A bus drops what it cannot encrypt with its key, unless it has a queue for it."""
    for name, bus in expanded.of_type("AWS::Events::EventBus").items():
        queues = references(bus.get("DeadLetterConfig", {}))
        if not queues:
            yield f"{name} has no dead-letter queue"
        for queue in sorted(queues - _queues_open_to(name, expanded)):
            yield f"{name} may not send to {queue}"


def _subscription_faults(expanded: Expanded) -> Iterator[str]:
    """A topic drops what it cannot deliver to a function or queue, unless the subscription has a queue for it
    («Amazon SNS dead-letter queues», Amazon SNS Developer Guide). Mail has none that could be redriven."""
    for name, one in expanded.of_type("AWS::SNS::Subscription").items():
        if one["Protocol"] == "email":
            continue
        queues = references(one.get("RedrivePolicy"))
        if not queues:
            yield f"{name} has no dead-letter queue"
        (topic,) = references(one["TopicArn"])
        for queue in sorted(queues - _queues_open_to_topic(topic, expanded)):
            yield f"{name} may not send to {queue}"


def _queues_open_to_topic(topic: str, expanded: Expanded) -> set[str]:
    return {
        queue
        for policy in expanded.of_type("AWS::SQS::QueuePolicy").values()
        for one in statements(policy["PolicyDocument"])
        if one.allows("sqs:SendMessage")
        and one.services == ("sns.amazonaws.com",)
        and one.conditions.get("ArnEquals", {}).get("aws:SourceArn") == f"${{{topic}}}"
        for queue in references(policy["Queues"])
        if f"${{{queue}.Arn}}" in one.resources
    }


def _queues_open_to(sender: str, expanded: Expanded) -> set[str]:
    """The queues whose policy lets EventBridge send for one rule or bus, and only for it."""
    return {
        queue
        for policy in expanded.of_type("AWS::SQS::QueuePolicy").values()
        for one in statements(policy["PolicyDocument"])
        if one.allows("sqs:SendMessage")
        and one.services == ("events.amazonaws.com",)
        and one.conditions.get("ArnEquals", {}).get("aws:SourceArn") == f"${{{sender}.Arn}}"
        for queue in references(policy["Queues"])
        if f"${{{queue}.Arn}}" in one.resources
    }


def _schedule_faults(expanded: Expanded) -> Iterator[str]:
    for name, schedule in expanded.of_type("AWS::Scheduler::Schedule").items():
        target = schedule["Target"]
        bound = target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds")
        if "DeadLetterConfig" not in target or not bound:
            yield f"{name} has no dead-letter queue or no bound"
            continue
        (role,) = references(target["RoleArn"])
        if text(target["DeadLetterConfig"]["Arn"]) not in expanded.resources_for(role, "sqs:SendMessage"):
            yield f"{name} may not send to its dead-letter queue"
        if not _may_start(target, expanded):
            yield f"{name} may not start its target"


def _asynchronous_faults(expanded: Expanded) -> Iterator[str]:
    """Rules, buckets and topics call functions asynchronously; each has a permission on its function."""
    configured = {
        name: config
        for config in expanded.of_type("AWS::Lambda::EventInvokeConfig").values()
        for name in references(config["FunctionName"])
    }
    for permission in expanded.of_type("AWS::Lambda::Permission").values():
        (function,) = references(permission["FunctionName"])
        config = configured.get(function, {})
        destination = _destination(config)
        if destination is None or "MaximumEventAgeInSeconds" not in config:
            yield f"{function} is called asynchronously without a destination for failures or a bound"
            continue
        (queue,) = references(destination)
        (role,) = references(expanded.properties(function)["Role"])
        if not _may_send(role, queue, expanded):
            yield f"{function} may not send to {queue}"
