"""Reading logs again and again: every line once, equal ones included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.cli.errors import CommandError
from local.cli.logs import LATE_MILLISECONDS, LogReader, logs
from local.cli.output import Output
from local.cli.project import Project


class Logs:
    """One log group; keeps from when on each look asked."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.asked_from: list[int] = []

    def write(self, milliseconds: int, text: str) -> None:
        event = {"logStreamName": "stream", "timestamp": milliseconds, "message": text}
        self.events.append(event | {"eventId": str(len(self.events))})

    def get_paginator(self, _operation: str) -> "Logs":
        return self

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        since = asked["startTime"]
        self.asked_from.append(since)
        yield {"events": [event for event in self.events if event["timestamp"] >= since]}


@pytest.fixture
def written() -> Logs:
    return Logs()


@pytest.fixture
def reader(written: Logs) -> LogReader:
    return LogReader(written, {"Greet": "/aws/lambda/greet"}, 1_000)


def _texts(reader: LogReader) -> list[str]:
    return [text for _, _, text in reader.new_events()]


def test_equal_lines_of_the_same_moment_are_all_shown(written: Logs, reader: LogReader) -> None:
    written.write(5_000, "again")
    written.write(5_000, "again")

    assert _texts(reader) == ["again", "again"]


def test_a_second_look_shows_only_what_is_new(written: Logs, reader: LogReader) -> None:
    written.write(5_000, "first")
    _texts(reader)
    written.write(5_000, "second")

    assert _texts(reader) == ["second"]


def test_a_line_that_comes_late_is_shown(written: Logs, reader: LogReader) -> None:
    written.write(50_000, "young")
    _texts(reader)
    written.write(50_000 - LATE_MILLISECONDS, "late")

    assert _texts(reader) == ["late"]


def test_a_look_does_not_read_again_what_is_old(written: Logs, reader: LogReader) -> None:
    written.write(5_000, "old")
    written.write(90_000, "young")
    _texts(reader)
    _texts(reader)

    assert written.asked_from == [1_000, 90_000 - LATE_MILLISECONDS]


def test_following_without_end_and_one_document_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no end"):
        logs(Project(tmp_path), Output(as_json=True), None, minutes=1, follow=True)
