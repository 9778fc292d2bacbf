"""What a pipe does with events: it puts them into its target, with the rights of its role.

AWS documentation: «Amazon EventBridge Pipes event targets» and «Amazon EventBridge Pipes batching and
concurrency»; for the limits the API references of the targets.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from local.pipes.parameters import MOST_IN_A_BATCH, Pipe, resolved, service_of, target_parameters
from local.pipes.put_events import epoch_seconds
from local.streams.failure_destinations import queue_url, send
from local.streams.faults import FAULTS
from local.streams.records import json_list
from local.streams.role_calls import CallFailed, RoleCalls

Events = Sequence[bytes]
Failed = list[int]
"""Which events of a batch the target did not take."""
Put = Callable[[Pipe, RoleCalls, Events], Failed]

MOST_BYTES_OF_A_FIREHOSE_RECORD = 1000 * 1024
MOST_BYTES_OF_A_FIREHOSE_BATCH = 4 * 1024 * 1024
_MAY_REPEAT = ("events", "firehose")


def put_into_target(pipe: Pipe, calls: RoleCalls, events: Events) -> Failed:
    """Give the target the events; raises CallFailed for all of them, PathNotFound for a parameter."""
    service = service_of(pipe["Target"])
    put = _TARGETS.get(service)
    if put is None:
        raise CallFailed("ValidationException", f"Pipes here do not lead to {service or pipe['Target']}.")
    if len(events) > MOST_IN_A_BATCH.get(service, len(events)):
        raise CallFailed("ValidationException", "The batch is larger than the target takes at once.")
    return _with_faults(pipe, calls, events, put) if service in _MAY_REPEAT else put(pipe, calls, events)


def _with_faults(pipe: Pipe, calls: RoleCalls, events: Events, put: Put) -> Failed:
    """Give the target the events in the order and as often as is asked for of deliveries."""
    order = FAULTS.order(events)
    failed = sorted(order[place] for place in put(pipe, calls, [events[place] for place in order]))
    again, late = FAULTS.chosen(events)
    if again:
        _put_again(pipe, calls, again, put)
    if late:
        FAULTS.hold(lambda: _put_again(pipe, calls, late, put))
    return failed


def _put_again(pipe: Pipe, calls: RoleCalls, events: Events, put: Put) -> None:
    with suppress(CallFailed):
        put(pipe, calls, events)


def _put_events(pipe: Pipe, calls: RoleCalls, events: Events) -> Failed:
    entries = [_entry(pipe, event) for event in events]
    calls.require("events:PutEvents", pipe["Target"])
    answer = calls.json_call("events", "AWSEvents.PutEvents", {"Entries": entries})
    return _failed(answer["Entries"])


def _entry(pipe: Pipe, event: bytes) -> dict[str, Any]:
    given = target_parameters(pipe, "EventBridgeEventBusParameters")
    entry: dict[str, Any] = {
        "EventBusName": pipe["Target"],
        "Source": resolved(given.get("Source") or f"Pipe {pipe['Name']}", event),
        "DetailType": resolved(given.get("DetailType") or "Event from aws:dynamodb", event),
        "Detail": event.decode(),
        "Resources": [resolved(resource, event) for resource in given.get("Resources") or []],
    }
    if given.get("Time"):
        entry["Time"] = epoch_seconds(resolved(given["Time"], event))
        if entry["Time"] is None:
            raise CallFailed("SerializationException", "The time of an event is no time.")
    return entry


def _put_records(pipe: Pipe, calls: RoleCalls, events: Events) -> Failed:
    too_large = any(len(event) > MOST_BYTES_OF_A_FIREHOSE_RECORD for event in events)
    if too_large or sum(map(len, events)) > MOST_BYTES_OF_A_FIREHOSE_BATCH:
        raise CallFailed("InvalidArgumentException", "The records are larger than a request may be.")
    calls.require("firehose:PutRecordBatch", pipe["Target"])
    name = pipe["Target"].rpartition("/")[2]
    records = [{"Data": base64.b64encode(event).decode()} for event in events]
    data = {"DeliveryStreamName": name, "Records": records}
    answer = calls.json_call("firehose", "Firehose_20150804.PutRecordBatch", data)
    return _failed(answer["RequestResponses"])


def _send_messages(pipe: Pipe, calls: RoleCalls, events: Events) -> Failed:
    given = target_parameters(pipe, "SqsQueueParameters")
    entries = []
    for number, event in enumerate(events):
        entry = {"Id": str(number), "MessageBody": event.decode()}
        for name in ("MessageGroupId", "MessageDeduplicationId"):
            if given.get(name):
                entry[name] = resolved(given[name], event)
        entries.append(entry)
    calls.require("sqs:SendMessage", pipe["Target"])
    data = {"QueueUrl": queue_url(pipe["Target"]), "Entries": entries}
    answer = calls.json_call("sqs", "AmazonSQS.SendMessageBatch", data)
    return sorted(int(failure["Id"]) for failure in answer.get("Failed") or [])


def _publish(pipe: Pipe, calls: RoleCalls, events: Events) -> Failed:
    calls.require("sns:Publish", pipe["Target"])
    failed = []
    for number, event in enumerate(events):
        try:
            send(calls, pipe["Target"], event.decode())
        except CallFailed:
            failed.append(number)
    return failed


def _invoke(pipe: Pipe, calls: RoleCalls, events: Events) -> Failed:
    given = target_parameters(pipe, "LambdaFunctionParameters")
    kind = "Event" if given.get("InvocationType") == "FIRE_AND_FORGET" else "RequestResponse"
    answer = calls.invoke(pipe["Target"], json_list(events), kind)
    return reported_failures(answer, events) if kind == "RequestResponse" else []


def _start_execution(pipe: Pipe, calls: RoleCalls, events: Events) -> Failed:
    given = target_parameters(pipe, "StepFunctionStateMachineParameters")
    data = {"stateMachineArn": pipe["Target"], "input": json_list(events).decode()}
    if given.get("InvocationType") != "REQUEST_RESPONSE":
        calls.require("states:StartExecution", pipe["Target"])
        calls.json_call("states", "AWSStepFunctions.StartExecution", data)
        return []
    calls.require("states:StartSyncExecution", pipe["Target"])
    answer = calls.json_call("states", "AWSStepFunctions.StartSyncExecution", data)
    if answer.get("status") != "SUCCEEDED":
        raise CallFailed(str(answer.get("error") or answer.get("status")))
    return reported_failures(str(answer.get("output") or "null").encode(), events)


_TARGETS: Mapping[str, Put] = {
    "events": _put_events,
    "firehose": _put_records,
    "lambda": _invoke,
    "sns": _publish,
    "sqs": _send_messages,
    "states": _start_execution,
}


def reported_failures(answer: bytes, events: Events) -> Failed:
    """The events that a target names in `batchItemFailures`; one that it was not given means all of them."""
    try:
        told = json.loads(answer)
    except ValueError:
        return []
    named = told.get("batchItemFailures") if isinstance(told, dict) else None
    if not named:
        return []
    places = {identifier: number for number, event in enumerate(events) for identifier in _identifiers(event)}
    found = [places.get(str(failure.get("itemIdentifier"))) for failure in named]
    return (
        list(range(len(events))) if None in found else sorted({place for place in found if place is not None})
    )


def _identifiers(event: bytes) -> list[str]:
    """What names a record in `batchItemFailures`: its eventID, and its sequence number."""
    read = json.loads(event)
    if not isinstance(read, dict):
        return []
    change = read.get("dynamodb")
    names = [read.get("eventID"), change.get("SequenceNumber") if isinstance(change, dict) else None]
    return [str(name) for name in names if name]


def _failed(answers: Sequence[Mapping[str, Any]]) -> Failed:
    return [number for number, one in enumerate(answers) if one.get("ErrorCode")]
