"""Settings, messages, metrics and values of the worker."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from hub_worker.errors import InvalidSetting, PoisonMessage
from hub_worker.health import Health, feed_watchdog, tell_systemd
from hub_worker.item_values import to_attribute
from hub_worker.messages import parse_message
from hub_worker.metrics import Metrics
from hub_worker.settings import read_settings
from local.testing.patience import PATIENCE_SECONDS

REQUIRED = {"JOBS_QUEUE_URL": "https://sqs.example.com/q.fifo", "JOBS_TABLE": "jobs", "STACK_NAME": "hub"}
BODY: dict[str, Any] = {
    "transitionId": "ab" * 32,
    "rule": "upload-arrived",
    "itemType": "Upload",
    "key": {"id": "UPLOAD#1"},
    "sequenceNumber": "1",
    "attributes": {"bucket": "b"},
}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_setting_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        read_settings({**REQUIRED, name: " "})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VISIBILITY_SECONDS", "0"),
        ("WAIT_SECONDS", "21"),
        ("MAX_JOB_SECONDS", "43200"),
        ("HEALTH_PORT", "eighty"),
        ("METADATA_ENDPOINT", "ftp://elsewhere"),
    ],
)
def test_a_setting_that_is_malformed_is_named(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        read_settings({**REQUIRED, name: value})


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        "[]",
        json.dumps({**BODY, "transitionId": "../../x"}),
        json.dumps({**BODY, "key": {}}),
        json.dumps({**BODY, "attributes": "text"}),
        json.dumps({name: value for name, value in BODY.items() if name != "rule"}),
    ],
)
def test_a_body_that_is_no_transition_is_poison_and_its_text_is_not_told(body: str) -> None:
    with pytest.raises(PoisonMessage) as caught:
        parse_message(body)
    assert str(caught.value).startswith("The body ")


def test_a_transition_of_any_rule_is_read_whatever_else_it_says() -> None:
    message = parse_message(json.dumps({**BODY, "change": "MODIFY", "time": "2026-11-21T08:00:00.000Z"}))
    assert (message.job_id, message.text("bucket")) == (f"JOB#{'ab' * 32}", "b")
    with pytest.raises(PoisonMessage, match="etag"):
        message.text("etag")


def test_metrics_are_a_line_that_cloudwatch_reads_and_nothing_is_written_of_nothing() -> None:
    written: list[Any] = []
    times = [0.0]
    metrics = Metrics("hub", written.append, clock=lambda: times[-1], wall_clock=lambda: 1_000.0)
    metrics.flush()
    assert written == []

    metrics.add("JobsDone")
    metrics.job_took(1.5)
    times.append(59.0)
    metrics.flush_when_due()
    assert written == []
    times.append(60.0)
    metrics.flush_when_due()

    (line,) = written
    directive = line["_aws"]["CloudWatchMetrics"][0]
    assert (directive["Namespace"], directive["Dimensions"]) == ("HealthLakeHub", [["service"]])
    assert {one["Name"] for one in directive["Metrics"]} == {"JobsDone", "JobSeconds"}
    assert (line["service"], line["JobsDone"], line["JobSeconds"]) == ("hub", 1, [1.5])


def test_values_of_a_result_are_written_as_dynamodb_takes_them() -> None:
    given = {"text": "a", "number": 2**70, "part": 0.5, "list": [True], "map": {"x": 1}}
    assert to_attribute(given) == {
        "M": {
            "text": {"S": "a"},
            "number": {"N": str(2**70)},
            "part": {"N": "0.5"},
            "list": {"L": [{"BOOL": True}]},
            "map": {"M": {"x": {"N": "1"}}},
        }
    }
    with pytest.raises(TypeError):
        to_attribute(b"bytes")


def falls_silent(listener: socket.socket) -> bool:
    """Whether nothing comes for five times as long as it should take, once what was sent has been heard."""
    listener.settimeout(0.05)
    try:
        for _ in range(5):
            listener.recv(100)
    except TimeoutError:
        return True
    return False


def test_systemd_is_told_for_as_long_as_the_worker_is_well(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    stuck, stop = [0.0], threading.Event()
    health = Health(10, lambda: stuck[-1])
    variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(5)
        assert tell_systemd("READY=1", variables)
        thread = threading.Thread(target=feed_watchdog, args=(health, stop, variables))
        thread.start()
        assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1"]
        stuck.append(11.0)
        assert falls_silent(systemd)
        stop.set()
        thread.join(PATIENCE_SECONDS)
    assert not tell_systemd("READY=1", {})
