"""What the table says of an upload, whatever comes twice, late or in another order."""

from __future__ import annotations

import itertools
import json
from typing import Any

import boto3
import pytest

from common.errors import AwsCallFailed, InvalidSetting
from local.testing.jobs_table import JOBS_TABLE
from local.testing.mocked_hub import REGION
from local.testing.upload_notifications import BUCKET, notification, s3_record, sns_event
from uploads.errors import UnreadableNotification
from uploads.settings import upload_settings
from uploads.upload_items import MOST_GONE, UploadItems, identity_of, item_id

KEY = "uploads/lab-7/Befunde Müller + Söhne.ndjson"
FIRST, SECOND, THIRD = "0055AED6DCD90281E1", "0055AED6DCD90281E2", "0055AED6DCD90281E3"


def put(sequencer: str = FIRST, version: str | None = "v1", **more: Any) -> dict[str, Any]:
    return s3_record(**{"key": KEY, "sequencer": sequencer, "version": version, **more})


def marker(sequencer: str = SECOND, version: str = "m1") -> dict[str, Any]:
    return s3_record(key=KEY, name="ObjectRemoved:DeleteMarkerCreated", sequencer=sequencer, version=version)


def gone(version: str | None, sequencer: str = THIRD) -> dict[str, Any]:
    return s3_record(key=KEY, name="ObjectRemoved:Delete", sequencer=sequencer, version=version)


def test_an_upload_becomes_an_item(uploads: Any) -> None:
    assert uploads.notify(put(size=42, etag="abc")) == {"UPLOADED": 1}
    assert uploads.item == {
        "id": item_id(BUCKET, KEY),
        "itemType": "Upload",
        "phase": "UPLOADED",
        "bucket": BUCKET,
        "key": KEY,
        "identity": "lab-7",
        "size": 42,
        "etag": "abc",
        "versionId": "v1",
        "sequencer": FIRST,
        "sequence": FIRST.ljust(64, "0"),
        "uploadedAt": "2026-11-21T09:00:00.000Z",
    }


def test_a_deleted_upload_is_recorded_as_that(uploads: Any) -> None:
    uploads.notify(put())
    assert uploads.notify(marker()) == {"DELETED": 1}
    item = uploads.item
    assert (item["phase"], item["versionId"], item["sequencer"]) == ("DELETED", "m1", SECOND)
    assert not {"size", "etag", "uploadedAt"} & item.keys()


def test_a_duplicate_changes_nothing(uploads: Any) -> None:
    uploads.notify(put())
    before = uploads.item
    assert uploads.notify(put(size=9)) == {"STALE": 1}
    assert uploads.item == before


def test_any_order_of_three_events_ends_the_same(uploads: Any) -> None:
    story = [put(FIRST, "v1"), marker(SECOND, "m1"), put(THIRD, "v2", size=7)]
    for order in itertools.permutations(story):
        boto3.client("dynamodb", REGION).delete_item(
            TableName=JOBS_TABLE, Key={"id": {"S": item_id(BUCKET, KEY)}}
        )
        for record in (*order, order[0]):
            uploads.notify(record)
        item = uploads.item
        assert (item["phase"], item["versionId"], item["size"]) == ("UPLOADED", "v2", 7)


def test_any_order_around_the_end_of_a_version_ends_the_same(uploads: Any) -> None:
    """The version that was uploaded second is deleted for good: no worker may be sent to it."""
    story = [put(FIRST, "v1"), put(SECOND, "v2"), gone("v2", THIRD)]
    for order in itertools.permutations(story):
        boto3.client("dynamodb", REGION).delete_item(
            TableName=JOBS_TABLE, Key={"id": {"S": item_id(BUCKET, KEY)}}
        )
        for record in order:
            uploads.notify(record)
        assert uploads.item["phase"] == "DELETED", [one["eventName"] for one in order]


def test_the_end_of_a_version_that_was_overwritten_changes_nothing(uploads: Any) -> None:
    uploads.notify(put(FIRST, "v1"))
    uploads.notify(put(SECOND, "v2"))
    assert uploads.notify(gone("v1", THIRD)) == {"STALE": 1}
    assert (uploads.item["phase"], uploads.item["versionId"]) == ("UPLOADED", "v2")


def test_a_gone_version_is_remembered_until_its_upload_comes(uploads: Any) -> None:
    uploads.notify(put(FIRST, "v1"))
    uploads.notify(gone("v2", THIRD))
    assert uploads.item["goneVersions"] == [{"S": "v2"}]
    assert uploads.notify(put(SECOND, "v2")) == {"DELETED": 1}
    assert (uploads.item["phase"], uploads.item["versionId"]) == ("DELETED", "v2")
    assert "goneVersions" not in uploads.item


def test_an_upload_that_is_gone_and_stale_is_forgotten_as_well(uploads: Any) -> None:
    uploads.notify(put(FIRST, "v1"))
    uploads.notify(gone("v3", f"{THIRD}5"))
    uploads.notify(gone("v2", f"{THIRD}6"))
    uploads.notify(put(f"{THIRD}4", "v4"))
    assert uploads.notify(put(SECOND, "v2")) == {"STALE": 1}
    assert (uploads.item["phase"], uploads.item["goneVersions"]) == ("UPLOADED", [{"S": "v3"}])


def test_an_item_remembers_the_newest_of_many_gone_versions(uploads: Any) -> None:
    uploads.notify(put(FIRST, "v1"))
    for number in range(MOST_GONE + 2):
        uploads.notify(*[gone(f"old-{number}", f"{THIRD}{number:03}")] * 2)
    names = [one["S"] for one in uploads.item["goneVersions"]]
    assert names == [f"old-{number}" for number in range(2, MOST_GONE + 2)]
    assert uploads.item["phase"] == "UPLOADED"


def test_a_version_ends_while_another_upload_is_recorded(
    uploads: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upload of the version comes between the two writes of its end, and is not left as uploaded."""
    uploads.notify(put(FIRST, "v1"))
    update = UploadItems._update
    calls = []

    def between(self: UploadItems, event: Any, *given: Any) -> Any:
        calls.append(event)
        if len(calls) == 2:
            uploads.notify(put(SECOND, "v2"))
        return update(self, event, *given)

    monkeypatch.setattr(UploadItems, "_update", between)
    assert uploads.notify(gone("v2", THIRD)) == {"DELETED": 1}
    assert (uploads.item["phase"], uploads.item["versionId"]) == ("DELETED", "v2")


def test_an_item_that_changes_in_every_try_is_left_to_the_next_call(
    uploads: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"sequence": {"S": "0"}, "versionId": {"S": "v0"}}
    monkeypatch.setattr(UploadItems, "_update", lambda *_: found)
    with pytest.raises(AwsCallFailed):
        uploads.notify(gone("v2", THIRD))


def test_an_object_without_versions_is_gone_with_its_deletion(uploads: Any) -> None:
    uploads.notify(put(version=None))
    assert uploads.notify(gone(None)) == {"DELETED": 1}


def test_a_new_upload_takes_nothing_over_from_the_one_before(uploads: Any) -> None:
    uploads.notify(put())
    boto3.client("dynamodb", REGION).update_item(
        TableName=JOBS_TABLE,
        Key={"id": {"S": item_id(BUCKET, KEY)}},
        UpdateExpression="SET phase = :phase, processedBy = :by, processedAt = :at, #reason = :reason",
        ExpressionAttributeNames={"#reason": "reason"},
        ExpressionAttributeValues={
            ":phase": {"S": "FAILED"},
            ":by": {"S": "JOB#1"},
            ":at": {"S": "2026-11-21T09:01:00.000Z"},
            ":reason": {"S": "POISON"},
        },
    )
    uploads.notify(put(SECOND, "v2"))
    assert uploads.item["phase"] == "UPLOADED"
    assert not {"processedBy", "processedAt", "reason"} & uploads.item.keys()


def test_what_is_too_large_is_rejected_with_its_reason(uploads: Any) -> None:
    megabyte = 1024 * 1024
    assert uploads.notify(put(size=megabyte)) == {"UPLOADED": 1}
    assert uploads.notify(put(SECOND, "v2", size=megabyte + 1)) == {"REJECTED": 1}
    assert (uploads.item["phase"], uploads.item["reason"]) == ("REJECTED", "TOO_LARGE")


@pytest.mark.parametrize(
    "key",
    [
        "results.ndjson",
        "uploads/results.ndjson",
        "uploads//results.ndjson",
        "uploads/lab-7/",
        "uploads/ lab/results.ndjson",
        "uploads/.lab/results.ndjson",
        "Uploads/lab-7/results.ndjson",
        "/uploads/lab-7/results.ndjson",
    ],
)
def test_a_key_of_another_shape_is_rejected_with_its_reason(uploads: Any, key: str) -> None:
    assert uploads.notify(put(key=key)) == {"REJECTED": 1}
    item = uploads.item
    assert (item["phase"], item["reason"], item["key"]) == ("REJECTED", "KEY_SHAPE", key)
    assert "identity" not in item


@pytest.mark.parametrize(
    ("key", "identity"),
    [
        ("uploads/lab-7/a", "lab-7"),
        ("uploads/ward.3@clinic/a/b c", "ward.3@clinic"),
        ("uploads/x/\n", "x"),
        ("uploads/" + "x" * 128 + "/a", "x" * 128),
        ("uploads/" + "x" * 129 + "/a", None),
    ],
)
def test_an_identity_is_the_second_part_of_a_key(key: str, identity: str | None) -> None:
    assert identity_of(key) == identity


def test_an_empty_object_is_an_upload(uploads: Any) -> None:
    uploads.notify(put(size=0))
    assert (uploads.item["phase"], uploads.item["size"]) == ("UPLOADED", 0)


def test_several_records_of_one_message_are_all_recorded(uploads: Any) -> None:
    assert uploads.notify(put(), put(key="uploads/lab-7/b"), put(key="c")) == {"UPLOADED": 2, "REJECTED": 1}
    assert len(uploads.items) == 3


def test_a_test_message_records_nothing(uploads: Any) -> None:
    test = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-11-21T09:00:00.000Z",
        "Bucket": "b",
    }
    assert uploads.call(sns_event(test)) == {}
    assert uploads.items == []


def test_a_dead_letter_of_the_subscription_can_be_given_to_the_function(uploads: Any) -> None:
    assert uploads.call(notification({"Records": [put()]})) == {"UPLOADED": 1}


def test_an_unreadable_message_fails_the_call(uploads: Any) -> None:
    with pytest.raises(UnreadableNotification):
        uploads.call(sns_event("no JSON"))


def test_a_missing_setting_is_named(uploads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_UPLOAD_MEGABYTES", "0")
    upload_settings.cache_clear()
    with pytest.raises(InvalidSetting, match="MAX_UPLOAD_MEGABYTES"):
        uploads.notify(put())


def test_no_key_stands_in_a_log_a_metric_or_an_answer(
    uploads: Any, capsys: pytest.CaptureFixture[str], fresh_logger: None
) -> None:
    marked = "Zzmaria"
    answers = [
        uploads.notify(put(key=f"uploads/lab-7/{marked}.pdf")),
        uploads.notify(put(key=f"{marked}.pdf")),
        uploads.notify(gone("v9")),
    ]
    with pytest.raises(UnreadableNotification) as refusal:
        uploads.call(sns_event({"Records": [put(key=marked, sequencer="no hex")]}))
    written = capsys.readouterr()
    assert "object event recorded" in written.out
    assert marked not in written.out + written.err + json.dumps(answers) + str(refusal.value)
