"""The last words of a function whose time ends."""

from __future__ import annotations

from threading import Event, active_count
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from common import time_limit
from common.time_limit import before_timeout
from local.testing.patience import PATIENCE_SECONDS


def context(milliseconds: int) -> Any:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: milliseconds)


def test_what_is_still_at_work_when_little_time_is_left_has_its_last_words_said() -> None:
    said = Event()
    with before_timeout(context(15_020), 15.0, said.set):
        assert said.wait(PATIENCE_SECONDS)


def test_what_ends_in_time_leaves_no_words_and_no_thread() -> None:
    said = Event()
    threads = active_count()
    with before_timeout(context(900_000), 15.0, said.set):
        pass
    assert not said.wait(0.05)
    assert active_count() == threads


def test_words_that_cannot_be_written_are_told_to_the_log_and_disturb_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Event()
    monkeypatch.setattr(time_limit, "presentable", lambda error: told.set())
    refusal = ClientError({"Error": {"Code": "InternalServerError"}}, "PutItem")

    with before_timeout(context(0), 15.0, Mock(side_effect=refusal)):
        assert told.wait(PATIENCE_SECONDS)
