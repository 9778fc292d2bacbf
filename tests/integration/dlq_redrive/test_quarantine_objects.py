"""The quarantine of dead letters in the hub's bucket."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from common import aws_clients
from common.errors import InvalidInput
from dlq_redrive.dead_letter_quarantine import DeadLetterQuarantine
from dlq_redrive.settings import redrive_settings


@pytest.fixture
def quarantine(redrive: Any) -> DeadLetterQuarantine:
    """Two letters of one queue, one of another, and an object that is none of the quarantine's."""
    for name, bodies in (("a", ("one", "two")), ("b", ("three",))):
        dlq = redrive.queue(f"dead-{name}", kind="rule")
        for body in bodies:
            redrive.send(dlq, body)
        redrive.run_all(redrive.plan_of(dlq))
    bucket = redrive_settings().bucket
    aws_clients.s3().put_object(Bucket=bucket, Key="exports/file.ndjson", Body=b"{}")
    return DeadLetterQuarantine(aws_clients.s3(), bucket)


def test_letters_are_listed_by_queue_and_all_together(quarantine: DeadLetterQuarantine) -> None:
    assert len(list(quarantine.list())) == 3
    keys = [one.key for one in quarantine.list("hub-test-dead-a")]
    assert len(keys) == 2
    assert all(key.startswith("dead-letters/hub-test-dead-a/") for key in keys)


def test_every_letter_that_is_listed_is_read_whole(quarantine: DeadLetterQuarantine) -> None:
    read = [quarantine.read(one.key) for one in quarantine.list()]
    assert {letter.body for letter, _ in read} == {"one", "two", "three"}
    assert all(letter.key == one.key for (letter, _), one in zip(read, quarantine.list(), strict=True))
    assert all(etag for _, etag in read)


def test_an_object_outside_of_the_quarantine_is_not_read(quarantine: DeadLetterQuarantine) -> None:
    with pytest.raises(InvalidInput):
        quarantine.read("exports/file.ndjson")


def test_a_letter_that_is_there_already_stays(quarantine: DeadLetterQuarantine) -> None:
    letter, etag = quarantine.read(next(quarantine.list()).key)
    quarantine.put(letter.edited("another", "somebody", datetime.now(UTC)))
    assert quarantine.read(letter.key) == (letter, etag)


def test_a_letter_keeps_what_x_ray_knows_it_by(redrive: Any) -> None:
    trace = "Root=1-6740b6a0-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1"
    dlq = redrive.queue("dead", kind="rule")
    redrive.send(
        dlq,
        "traced",
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": trace}},
    )
    redrive.run_all(redrive.plan_of(dlq))
    quarantine = DeadLetterQuarantine(aws_clients.s3(), redrive_settings().bucket)

    letter, _ = quarantine.read(next(quarantine.list()).key)

    assert letter.attributes["AWSTraceHeader"] == trace
