"""The shipped rules, from records of the stream to messages and objects."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import boto3
import pytest

from common.errors import InvalidSetting
from local.testing.mocked_hub import BUCKET, REGION
from local.testing.stream_records import STREAM, stream_record
from transitions import detect_transitions, rules
from transitions.detection import group_of, transition_id
from transitions.errors import InvalidRules
from transitions.settings import transition_settings

MARK = "Zzmaria"
LABEL = STREAM.rpartition("/")[2]


def upload(phase: str = "UPLOADED", sequencer: str = "0055AE", **more: Any) -> dict[str, Any]:
    return {
        "id": {"S": "UPLOAD#1"},
        "itemType": {"S": "Upload"},
        "phase": {"S": phase},
        "sequencer": {"S": sequencer},
        "key": {"S": f"uploads/lab-7/{MARK}.ndjson"},
        "size": {"N": "42"},
        **more,
    }


def job(phase: str = "RUNNING", count: int = 0, item: str = "JOB#1", **more: Any) -> dict[str, Any]:
    return {
        "id": {"S": item},
        "itemType": {"S": "Job"},
        "phase": {"S": phase},
        "items": {"L": [{"S": f"item {number}"} for number in range(count)]},
        **more,
    }


def test_an_upload_goes_to_the_queue(transitions: Any) -> None:
    record = stream_record(new=upload())
    assert transitions.give(record) == {"batchItemFailures": []}
    (message,) = transitions.messages()
    assert message == {
        "transitionId": transition_id("upload-arrived", LABEL, {"id": {"S": "UPLOAD#1"}}, f"{100:025d}"),
        "rule": "upload-arrived",
        "itemType": "Upload",
        "change": "INSERT",
        "key": {"id": "UPLOAD#1"},
        "stream": LABEL,
        "sequenceNumber": f"{100:025d}",
        "time": "2026-11-21T13:54:16.000Z",
        "attributes": {"key": f"uploads/lab-7/{MARK}.ndjson", "size": 42, "sequencer": "0055AE"},
        "group": group_of(record),
    }


def test_each_upload_of_a_key_goes_to_the_queue_once(transitions: Any) -> None:
    story = [
        None,
        upload(),
        upload("PROCESSED"),
        upload("PROCESSED", note={"S": "x"}),
        upload(sequencer="0055AF"),
    ]
    story += [upload(sequencer="0055B0"), upload("DELETED", sequencer="0055B1")]
    steps = itertools.pairwise(story)
    records = [stream_record(old=old, new=new, number=number) for number, (old, new) in enumerate(steps)]
    transitions.give(*records)
    sequencers = [message["attributes"]["sequencer"] for message in transitions.messages()]
    assert sequencers == ["0055AE", "0055AF", "0055B0"]


def test_a_rejected_upload_goes_nowhere(transitions: Any) -> None:
    transitions.give(stream_record(new=upload("REJECTED")))
    assert transitions.messages() == []


def test_a_jobs_complete_tests_become_an_object(transitions: Any) -> None:
    results = {"M": {"passed": {"N": "1.10"}, "note": {"S": 'say "${meta.id}"'}}}
    old, new = job("TESTING", 3), job("TESTS_COMPLETE", 3, results=results)
    transitions.give(stream_record(old=old, new=new), stream_record(old=new, new=new, number=101))
    ((key, body),) = transitions.objects().items()
    assert key == f"transitions/tests-complete/{group_of(stream_record(new=new))}/{body['transitionId']}.json"
    assert body == {
        "transitionId": transition_id("tests-complete", LABEL, {"id": {"S": "JOB#1"}}, f"{100:025d}"),
        "completedAt": "2026-11-21T13:54:16.000Z",
        "jobId": "JOB#1",
        "phaseBefore": "TESTING",
        "items": ["item 0", "item 1", "item 2"],
        "results": {"passed": 1.10, "note": 'say "${meta.id}"'},
    }
    assert transitions.messages() == []


@pytest.mark.parametrize(
    ("before", "now", "sent"), [(9, 10, 1), (8, 12, 1), (10, 11, 0), (10, 9, 0), (0, 9, 0)]
)
def test_the_tenth_item_sends_a_job_to_the_queue_once(
    transitions: Any, before: int, now: int, sent: int
) -> None:
    transitions.give(stream_record(old=job(count=before), new=job(count=now)))
    assert [one["rule"] for one in transitions.messages()] == ["tenth-item"] * sent


def test_a_change_that_two_rules_are_about_goes_to_both(transitions: Any) -> None:
    transitions.give(stream_record(old=job("TESTING", 9), new=job("TESTS_COMPLETE", 10)))
    assert len(transitions.messages()) == len(transitions.objects()) == 1


def test_a_repeated_batch_changes_nothing(transitions: Any) -> None:
    records = [
        stream_record(new=upload()),
        stream_record(old=job("TESTING"), new=job("TESTS_COMPLETE"), number=101),
    ]
    transitions.give(*records)
    written = transitions.objects()
    transitions.give(*records)
    assert len(transitions.messages()) == 1
    assert transitions.objects() == written


def test_an_item_of_400_kb_with_both_images_passes(transitions: Any) -> None:
    large = {"items": {"L": [{"S": "x" * 39_000}] * 10}}
    old = {**job(), "items": {"L": large["items"]["L"][:9]}}
    assert transitions.give(stream_record(old=old, new={**job(), **large})) == {"batchItemFailures": []}
    (message,) = transitions.messages()
    reference = message["reference"]
    body = boto3.client("s3", REGION).get_object(Bucket=BUCKET, Key=reference["key"])["Body"].read()
    assert len(body) == reference["length"]
    assert json.loads(body)["items"] == ["x" * 39_000] * 10


def test_a_missing_queue_leaves_every_record_in_the_stream(transitions: Any) -> None:
    boto3.client("sqs", REGION).delete_queue(QueueUrl=transitions.queue_url)
    records = [stream_record(new=upload(), number=7), stream_record(new=job(count=10), number=8)]
    assert transitions.give(*records) == {"batchItemFailures": [{"itemIdentifier": f"{7:025d}"}]}


def test_wrong_rules_fail_the_call_and_are_named(
    transitions: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"rules": [{"name": "half"}]}))
    monkeypatch.setattr(rules.load_rules, "__defaults__", (path,))
    with pytest.raises(InvalidRules, match="rule half: itemType is missing"):
        transitions.give(stream_record(new=upload()))
    assert detect_transitions.rules_by_type.cache_info().currsize == 0


def test_a_missing_setting_is_named(transitions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOBS_QUEUE_URL")
    transition_settings.cache_clear()
    with pytest.raises(InvalidSetting, match="JOBS_QUEUE_URL"):
        transitions.give(stream_record(new=upload()))


def test_nothing_of_an_item_stands_in_a_log_a_metric_or_an_answer(
    transitions: Any, capsys: pytest.CaptureFixture[str], fresh_logger: None
) -> None:
    poison = stream_record(old=job(), new=job(MARK, items={"N": MARK}, item=MARK))
    boto3.client("sqs", REGION).delete_queue(QueueUrl=transitions.queue_url)
    answer = transitions.give(stream_record(new=upload()), poison)
    written = capsys.readouterr()
    assert "records left in the stream" in written.out
    assert MARK not in written.out + written.err + json.dumps(answer)
