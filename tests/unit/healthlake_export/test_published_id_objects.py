from __future__ import annotations

from typing import Any, cast

import pytest

from healthlake_export import published_id_objects
from healthlake_export.change_events import EVENT_ID_BYTES
from healthlake_export.published_id_objects import MAX_LOADED_BYTES, load_ids
from local.testing.fake_services import FakeS3

KEY = "runs/run-0/published-ids.bin"
IDS = [number.to_bytes(EVENT_ID_BYTES, "big") for number in range(5)]


def test_of_more_ids_than_are_loaded_the_first_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_id_objects, "MAX_LOADED_BYTES", 3 * EVENT_ID_BYTES)
    loaded = load_ids(cast(Any, FakeS3({KEY: b"".join(IDS)})), "hub-bucket", KEY)
    assert [identity in loaded for identity in IDS] == [True, True, True, False, False]
    assert len(loaded) == 3


def test_two_million_ids_are_loaded_at_most_and_no_byte_more_is_asked_for() -> None:
    s3 = FakeS3({KEY: IDS[0]})
    load_ids(cast(Any, s3), "hub-bucket", KEY)
    assert MAX_LOADED_BYTES == 2 * 1024 * 1024 * EVENT_ID_BYTES
    assert s3.reads == [(KEY, f"bytes=0-{2 * 1024 * 1024 * EVENT_ID_BYTES - 1}")]
