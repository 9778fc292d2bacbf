"""What the transitions send is what the worker reads, rule by rule."""

from __future__ import annotations

import io
from typing import Any, cast

import pytest

from hub_worker.commits import Effect
from hub_worker.jobs import JOBS, Work
from hub_worker.messages import JobMessage, parse_message
from local.testing.stream_records import stream_record
from transitions.detection import detect, read
from transitions.rules import load_rules

UPLOAD = {
    "id": {"S": "UPLOAD#1"},
    "itemType": {"S": "Upload"},
    "phase": {"S": "UPLOADED"},
    "bucket": {"S": "uploads"},
    "key": {"S": "uploads/clinic/ä b+c.ndjson"},
    "size": {"N": "27"},
    "etag": {"S": "0123456789abcdef"},
    "versionId": {"S": "v1"},
    "sequencer": {"S": "0055AED6DCD90281E5"},
    "identity": {"S": "clinic"},
}
GATHERED = {"id": {"S": "JOB-1"}, "itemType": {"S": "Job"}, "items": {"L": [{"S": "x"}] * 10}}


class OneObject:
    """S3 with one version of one object."""

    CONTENT = b'{"resourceType":"Patient"}\n'

    def head_object(self, **asked: Any) -> dict[str, Any]:
        assert asked == {
            "Bucket": "uploads",
            "Key": UPLOAD["key"]["S"],
            "IfMatch": '"0123456789abcdef"',
            "VersionId": "v1",
        }
        return {"ContentLength": len(self.CONTENT)}

    def get_object(self, **asked: Any) -> dict[str, Any]:
        assert asked["Range"] == "bytes=0-26"
        return {"Body": io.BytesIO(self.CONTENT)}


def message_of(new: dict[str, Any]) -> JobMessage:
    (found,) = detect(read(stream_record(new=new)), load_rules())
    return parse_message(found.message().decode())


def effect_of(message: JobMessage) -> Effect:
    return JOBS[message.rule].run(Work(message, cast(Any, OneObject()), lambda: None))


def test_an_upload_that_arrived_is_read_as_the_version_that_it_was() -> None:
    message = message_of(UPLOAD)
    effect = effect_of(message)

    assert (effect.result["lines"], effect.result["resourceTypes"]) == (1, {"Patient": 1})
    assert effect.change is not None
    assert effect.change.item_id == "UPLOAD#1"
    assert effect.change.unless_changed == {
        "phase": "UPLOADED",
        "etag": "0123456789abcdef",
        "versionId": "v1",
        "sequencer": "0055AED6DCD90281E5",
    }


@pytest.mark.parametrize("items", [{"L": [{"S": "x"}] * 10}, {"N": "10"}])
def test_an_item_that_has_gathered_ten_is_a_batch_of_ten(items: dict[str, Any]) -> None:
    assert effect_of(message_of({**GATHERED, "items": items})).result == {"items": 10}
