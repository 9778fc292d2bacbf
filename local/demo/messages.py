"""Messages for a consumer, some of which nobody can read, and what the consumer does with one."""

import json
from dataclasses import dataclass

MESSAGES = 48
POISON = (17, 33)


@dataclass(frozen=True)
class Message:
    """A message to be sent: its id, which stays what it is wherever the message goes, and its body."""

    id: str
    body: str
    readable: bool


class Unreadable(ValueError):
    """A message that no consumer can do anything with, however often it comes."""


def sample_messages() -> list[Message]:
    """The same messages each time: news of a resource's version, in some of which the version is missing."""
    return [_message(number, readable=number not in POISON) for number in range(1, MESSAGES + 1)]


def _message(number: int, *, readable: bool) -> Message:
    name = f"message-{number:02}"
    version = "1" if readable else None
    body = {"id": name, "resource": f"Observation/demo-{number:02}", "versionId": version}
    return Message(name, json.dumps(body), readable)


def id_of(body: str) -> str:
    """The id of the message that has that body."""
    return str(json.loads(body)["id"])


def handle(body: str) -> tuple[str, int]:
    """What a consumer wants of a message: resource and version; raises `Unreadable` when it says none."""
    message = json.loads(body)
    if message["versionId"] is None:
        raise Unreadable(message["id"])
    return message["resource"], int(message["versionId"])
