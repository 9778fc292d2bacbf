"""What an erasure does not reach, and when time removes it: told with every erasure."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from healthlake_export import erasures
from healthlake_export.table_keys import erasure_key
from local.erasure.erasure import Ground
from local.erasure.healthlake_patient import InHealthLake
from local.erasure.stack_buckets import StackResource

_HEALTHLAKE = {
    InHealthLake.PRESENT: "has the patient: what changes there is exported again, and withheld by the hub",
    InHealthLake.DELETED: "has deleted the patient and keeps the versions: $erase removes them",
    InHealthLake.ABSENT: "does not have the patient; others that name the patient may be there all the same",
    InHealthLake.UNKNOWN: "did not say whether it has the patient",
}

_BEFORE = "; what is redriven before that comes back, perhaps to quarantine: erase again after it"


@dataclass(frozen=True)
class Remain:
    """Something that an erasure leaves, with what it holds and when it is gone."""

    what: str
    holds: str
    until: str

    def document(self) -> dict[str, str]:
        """For programs."""
        return {"what": self.what, "holds": self.holds, "until": self.until}


def remains(ground: Ground, in_healthlake: InHealthLake) -> list[Remain]:
    """Everything that is left, in the order in which to look at it."""
    return [
        Remain("HealthLake", _HEALTHLAKE[in_healthlake], "you erase it there"),
        *_asked("consumers of the bus", lambda: list(_consumers(ground))),
        *_asked("queues", lambda: list(_queues(ground))),
        *_asked("archives of the bus", lambda: list(_archives(ground))),
        Remain("the entry in the table", "the patient's id, so that later runs withhold", "kept for good"),
        Remain("the table otherwise, and its recovery", "no resources; ids of runs, keys, counts", "35 days"),
        Remain(
            "logs, metrics, traces, execution histories", "no resources, no ids of patients", "nothing to do"
        ),
        Remain(
            "Athena's history of queries",
            "the text of queries and their errors, ids that somebody wrote into it",
            "45 days",
        ),
        Remain("backups and replicas of the buckets", "what they held", "as you have set them up"),
    ]


def _asked(what: str, ask: Callable[[], list[Remain]]) -> list[Remain]:
    """What AWS says, or that it refuses to."""
    try:
        return ask()
    except ClientError as error:
        reason = error.response.get("Error", {}).get("Code", "Unknown")
    except BotoCoreError as error:
        reason = type(error).__name__
    return [Remain(what, f"not known: {reason}", "look yourself")]


def _queues(ground: Ground) -> Iterator[Remain]:
    sqs = ground.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "MessageRetentionPeriod"]
    held = []
    for queue in (one for one in ground.resources if one.type == "AWS::SQS::Queue"):
        told = sqs.get_queue_attributes(QueueUrl=queue.name, AttributeNames=names)["Attributes"]
        messages = sum(int(told.get(name, 0)) for name in names[:2])
        days = int(told.get("MessageRetentionPeriod", 0)) / 86_400
        if messages:
            held.append(
                Remain(
                    f"{'dead-letter ' if _takes_dead_letters(queue) else ''}queue {queue.logical_id}",
                    f"{messages:,} messages, events about resources perhaps",
                    f"{days:g} days after each was sent{_BEFORE if _takes_dead_letters(queue) else ''}",
                )
            )
    yield from held or [Remain("queues of the stack", "no messages now", "nothing to do")]


def _takes_dead_letters(queue: StackResource) -> bool:
    return queue.logical_id.endswith("DeadLetterQueue")


def _archives(ground: Ground) -> Iterator[Remain]:
    events = ground.client("events")
    found = []
    for bus in (one for one in ground.resources if one.type == "AWS::Events::EventBus"):
        arn = events.describe_event_bus(Name=bus.name)["Arn"]
        for archive in events.list_archives(EventSourceArn=arn)["Archives"]:
            days = archive.get("RetentionDays")
            until = f"{days} days after each event" if days else "you delete it"
            found.append(Remain(f"archive {archive['ArchiveName']}", "events about resources", until))
    yield from found or [Remain("archives of the bus", "there are none", "nothing to do")]


def _consumers(ground: Ground) -> Iterator[Remain]:
    events = ground.client("events")
    own = {one.name.rpartition("|")[2] for one in ground.resources if one.type == "AWS::Events::Rule"}
    found = []
    for bus in (one for one in ground.resources if one.type == "AWS::Events::EventBus"):
        for page in events.get_paginator("list_rules").paginate(EventBusName=bus.name):
            for rule in page["Rules"]:
                if rule["Name"] not in own:
                    found.append(
                        Remain(
                            f"consumers behind rule {rule['Name']}",
                            "the events they got",
                            "you erase it there",
                        )
                    )
    yield from found or [Remain("consumers of the bus", "there are no rules of yours", "nothing to do")]


def other_items(dynamodb: Any, table: str, datastore_id: str, patient_id: str) -> tuple[int, int]:
    """How many items the table has, and how many of them name the patient, the entry left out."""
    entry = erasure_key(datastore_id, patient_id)
    erased = frozenset({patient_id})
    items = naming = 0
    for page in dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
        for item in page["Items"]:
            items += 1
            if any(item[name] != value for name, value in entry.items()):
                naming += erasures.mentions(json.dumps(item, default=str).encode(), erased)
    return items, naming
