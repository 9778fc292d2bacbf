"""The quarantined dead letters of a hub: read, changed and deleted on the condition that nobody else did.

Follows «How to prevent object overwrites with conditional writes» and «How to perform conditional deletes» of
the Amazon S3 User Guide.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from common.errors import InvalidInput
from dlq_redrive.arns import Home
from dlq_redrive.dead_letter_quarantine import DeadLetterQuarantine, Listed, QuarantinedLetter, require_key
from local.cli.errors import CommandError
from local.cli.operations.hub import DeployedHub
from local.cli.project import command_line

MACHINE = "RedriveStateMachineArn"

_CHANGED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
_GONE = frozenset({"NoSuchKey", "404"})


@dataclass(frozen=True)
class Found:
    """A letter, and the ETag of the object that it was found in."""

    letter: QuarantinedLetter
    etag: str


class Quarantined:
    """The letters in the quarantine of one hub."""

    def __init__(self, hub: DeployedHub) -> None:
        self._s3: Any = hub.client("s3")
        self._bucket = hub.bucket
        self._quarantine = DeadLetterQuarantine(self._s3, hub.bucket)

    def list(self, queue_name: str = "") -> Iterator[Listed]:
        """Every object, or those of one queue, by key."""
        return self._quarantine.list(queue_name)

    def find(self, key: str) -> Found | None:
        """The letter of a key, None when there is no such object; raises CommandError for an object that is
        no dead letter."""
        try:
            letter, etag = self._quarantine.read(key)
            if letter.key != key:
                raise InvalidInput("The object holds the dead letter of another key.")
            return Found(letter, etag)
        except ClientError as error:
            if _code(error) not in _GONE:
                raise
            return None
        except InvalidInput as error:
            raise CommandError(f"{key}: {error}", "Look at the object in the bucket.") from None

    def get(self, key: str) -> Found:
        """The letter of a key; raises CommandError when there is none."""
        found = self.find(key)
        if found is None:
            raise no_such_letter(key)
        return found

    def replace(self, found: Found, letter: QuarantinedLetter) -> Found | None:
        """Write a letter over the one that was found; None when that one is gone or another by now.

        An answer that is lost has the SDK write once more, over what it has written itself. That counts as
        written.
        """
        content = letter.to_json()
        try:
            answer = self._s3.put_object(
                Bucket=self._bucket,
                Key=letter.key,
                Body=content,
                ContentType="application/json",
                IfMatch=found.etag,
            )
        except ClientError as error:
            if _code(error) not in _CHANGED | _GONE:
                raise
            now = self.find(letter.key)
            return now if now is not None and now.letter.to_json() == content else None
        return Found(letter, answer["ETag"])

    def remove(self, found: Found) -> bool:
        """Delete the object that was found; False when it is another by now. One that is gone is deleted."""
        key = found.letter.key
        try:
            self._s3.delete_object(Bucket=self._bucket, Key=key, IfMatch=found.etag)
        except ClientError as error:
            if _code(error) not in _CHANGED | _GONE:
                raise
            return self.find(key) is None
        return True

    def earlier(self, key: str) -> Iterator[QuarantinedLetter]:
        """The letters that a key had before the object that is there now, the latest first, as long as the
        bucket keeps their versions. What is no dead letter is left out."""
        pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=key)
        versions = (one for page in pages for one in page.get("Versions", []))
        for one in versions:
            if one["Key"] == key and not one["IsLatest"]:
                version = {"Bucket": self._bucket, "Key": key, "VersionId": one["VersionId"]}
                with suppress(InvalidInput):
                    yield QuarantinedLetter.from_json(self._s3.get_object(**version)["Body"].read())


def open_quarantine(hub: DeployedHub, *keys: str) -> Quarantined:
    """The quarantine of the hub; raises CommandError for a key that is none of it."""
    for key in keys:
        try:
            require_key(key)
        except InvalidInput as error:
            raise CommandError(f"{key!r} is no key of the quarantine. {error}", _KEYS) from None
    return Quarantined(hub)


def redrive_machine(hub: DeployedHub) -> str:
    """The ARN of the hub's redrive state machine."""
    if MACHINE not in hub.outputs:
        raise CommandError(
            f"The stack {hub.stack_name} has no output {MACHINE}.",
            "Name a stack of healthlake-hub with --stack, or deploy this version of it.",
        )
    return hub.outputs[MACHINE]


def home_of(hub: DeployedHub) -> Home:
    """The partition, region and account of the hub."""
    return Home.of_function(redrive_machine(hub))


def queue_arn(hub: DeployedHub, name_or_arn: str) -> str:
    """The ARN of a queue of the hub's account that was given by its name or its ARN."""
    return name_or_arn if name_or_arn.startswith("arn:") else home_of(hub).queue_arn(name_or_arn)


def redrives_in_words(redrives: int | None, bulk_at: str | None) -> str | None:
    """How often a letter was sent back one by one, and whether a redrive by SQS counts besides."""
    if redrives is None:
        return None
    return str(redrives) if bulk_at is None else f"{redrives} + 1 by SQS"


def no_such_letter(key: str) -> CommandError:
    return CommandError(f"There is no dead letter {key} in quarantine.", _KEYS)


_KEYS = f"`{command_line()} redrive list` shows the keys."


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code"))
