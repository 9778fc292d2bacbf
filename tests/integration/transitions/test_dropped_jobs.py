"""Jobs whose messages the queue has dropped: found by their items, and sent again."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from local.cli.errors import CommandError
from local.cli.output import Output
from local.cli.transitions.dropped import Dropped, JobItems, NotDetected
from local.cli.transitions.dropped_command import detect_again, list_unprocessed
from local.testing.jobs_table import JOBS_TABLE, create_jobs_table
from local.testing.mocked_hub import REGION
from uploads.upload_items import ITEM_TYPE, Phase

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
FOUR_DAYS = timedelta(days=4)


class Function:
    """Lambda with the function that detects transitions; `answer` stands in the place of the function's."""

    def __init__(self, transitions: Any) -> None:
        self.transitions = transitions
        self.answer: dict[str, Any] | None = None

    def invoke(self, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == "detect"
        if self.answer is not None:
            return self.answer
        told = self.transitions.give(*json.loads(Payload)["Records"])
        return {"Payload": io.BytesIO(json.dumps(told).encode())}


@pytest.fixture
def function(transitions: Any) -> Function:
    return Function(transitions)


@pytest.fixture
def items(function: Function) -> JobItems:
    create_jobs_table()
    return JobItems(boto3.client("dynamodb", REGION), function, JOBS_TABLE, "detect", lambda: NOW)


def put(jobs: JobItems, item_id: str, **more: Any) -> None:
    jobs.dynamodb.put_item(TableName=JOBS_TABLE, Item={"id": {"S": item_id}, **more})


def put_upload(items: JobItems, item_id: str, at: str, phase: str = Phase.UPLOADED) -> None:
    text = {"itemType": ITEM_TYPE, "phase": phase, "uploadedAt": at, "key": f"uploads/lab-7/{item_id}"}
    put(items, item_id, **{name: {"S": value} for name, value in text.items()}, digest={"B": b"\x00\xff"})


def test_uploads_that_have_waited_longer_than_the_queue_keeps_them_are_found(items: JobItems) -> None:
    put_upload(items, "UPLOAD#old", "2026-11-17T08:59:59.999Z")
    put_upload(items, "UPLOAD#young", "2026-11-17T09:00:00.000Z")
    put_upload(items, "UPLOAD#done", "2026-11-01T00:00:00.000Z", "PROCESSED")

    (found,) = items.unprocessed(FOUR_DAYS)

    assert (found.id, found.since) == ("UPLOAD#old", "2026-11-17T08:59:59.999Z")
    assert "lab-7" not in repr(found)


def test_its_transition_goes_to_the_queue_again_and_is_the_same_each_time(
    items: JobItems, transitions: Any
) -> None:
    put_upload(items, "UPLOAD#old", "2026-11-01T00:00:00.000Z")
    messages = []
    for _ in range(2):
        (found,) = items.unprocessed(FOUR_DAYS)
        items.detect(found)
        messages += transitions.messages()

    assert {(one["rule"], one["key"]["id"]) for one in messages} == {("upload-arrived", "UPLOAD#old")}
    assert len({one["transitionId"] for one in messages}) == 1
    assert messages[0]["attributes"]["key"] == "uploads/lab-7/UPLOAD#old"


def test_an_upload_that_came_meanwhile_has_another_transition(items: JobItems, transitions: Any) -> None:
    messages = []
    for at in ("2026-11-01T00:00:00.000Z", "2026-11-02T00:00:00.000Z"):
        put_upload(items, "UPLOAD#old", at)
        (found,) = items.unprocessed(FOUR_DAYS)
        items.detect(found)
        messages += transitions.messages()

    assert len({one["transitionId"] for one in messages}) == 2


def test_an_item_of_any_type_is_detected_by_its_id(items: JobItems, transitions: Any) -> None:
    put(items, "JOB#7", itemType={"S": "Job"}, items={"N": "12"})
    found = items.named("JOB#7")
    assert found is not None
    items.detect(found)

    (message,) = transitions.messages()
    assert (message["rule"], message["attributes"]) == ("tenth-item", {"items": 12})
    assert items.named("JOB#8") is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"Payload": io.BytesIO(b'{"batchItemFailures": [{"itemIdentifier": "1"}]}')}, "were not sent on"),
        (
            {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorType": "InvalidRules"}')},
            "InvalidRules",
        ),
    ],
)
def test_what_the_function_does_not_send_on_is_said(
    items: JobItems, function: Function, answer: dict[str, Any], reason: str
) -> None:
    function.answer = answer
    with pytest.raises(NotDetected, match=reason):
        items.detect(Dropped("UPLOAD#1", "", {"id": {"S": "UPLOAD#1"}}))


@pytest.fixture
def hub_of() -> Any:
    """A stack as commands name it."""
    return SimpleNamespace(document=lambda: {"stack": "hub"})


def test_the_commands_tell_ids_and_no_keys(
    items: JobItems, transitions: Any, hub_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    put_upload(items, "UPLOAD#old", "2026-11-01T00:00:00.000Z")
    put_upload(items, "UPLOAD#young", "2026-11-21T08:00:00.000Z")

    assert list_unprocessed(items, hub_of, Output(), 4) == 0
    assert detect_again(items, hub_of, Output(), 4, []) == 0

    told = capsys.readouterr().out
    assert "UPLOAD#old" in told
    assert not any(words in told for words in ("UPLOAD#young", "lab-7"))
    assert [one["key"]["id"] for one in transitions.messages()] == ["UPLOAD#old"]


def test_what_fails_is_told_with_its_reason(
    items: JobItems, function: Function, hub_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    put_upload(items, "UPLOAD#old", "2026-11-01T00:00:00.000Z")
    function.answer = {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorType": "InvalidRules"}')}

    assert detect_again(items, hub_of, Output(), 4, []) == 1
    assert "UPLOAD#old failed: InvalidRules" in capsys.readouterr().out


def test_an_item_that_is_not_there_is_refused_before_any_is_detected(
    items: JobItems, transitions: Any, hub_of: Any
) -> None:
    put_upload(items, "UPLOAD#young", "2026-11-21T08:00:00.000Z")
    with pytest.raises(CommandError, match="no item JOB#8"):
        detect_again(items, hub_of, Output(), 4, ["UPLOAD#young", "JOB#8"])
    assert transitions.messages() == []
