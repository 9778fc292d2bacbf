from __future__ import annotations

from typing import Any, cast

import pytest

from healthlake_export import object_bytes
from healthlake_export.byte_ranges import ExportedObject
from healthlake_export.errors import RangeChanged
from healthlake_export.object_bytes import ObjectBytes
from local.testing.fake_services import FakeS3

KEY = "exports/run-1/Patient/p.ndjson"
CONTENT = bytes(range(250)) * 4


def opened(s3: FakeS3) -> ObjectBytes:
    return ObjectBytes(cast(Any, s3), "hub-bucket", ExportedObject(KEY, len(s3.objects[KEY]), s3.etag(KEY)))


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_bytes, "CHUNK_BYTES", 300)
    monkeypatch.setattr(object_bytes, "_FIRST_CHUNK_PAST_END", 10)
    monkeypatch.setattr(object_bytes, "_COPY_PART_BYTES", 100)


def test_chunks_go_to_the_end_of_the_range_and_then_grow_from_small_ones() -> None:
    s3 = FakeS3({KEY: CONTENT})
    assert b"".join(opened(s3).chunks(100, 500)) == CONTENT[100:]
    assert [extent for _, extent in s3.reads] == [
        "bytes=100-399",
        "bytes=400-499",
        "bytes=500-509",
        "bytes=510-529",
        "bytes=530-569",
        "bytes=570-649",
        "bytes=650-809",
        "bytes=810-999",
    ]


def test_nothing_is_read_before_it_is_asked_for() -> None:
    s3 = FakeS3({KEY: CONTENT})
    chunks = opened(s3).chunks(0, 1000)
    assert s3.reads == []
    next(chunks)
    assert len(s3.reads) == 1


def test_a_copy_is_made_of_parts_within_s3() -> None:
    s3 = FakeS3({KEY: CONTENT})
    opened(s3).copy(50, 330, "quarantine/copy.raw")
    assert s3.objects["quarantine/copy.raw"] == CONTENT[50:380]
    assert s3.reads == []


def test_a_copy_of_an_object_that_was_replaced_is_given_up() -> None:
    s3 = FakeS3({KEY: CONTENT})
    source = opened(s3)
    s3.objects[KEY] = CONTENT[::-1]
    with pytest.raises(RangeChanged):
        source.copy(50, 330, "quarantine/copy.raw")
    assert s3.aborted == ["quarantine/copy.raw"]
    assert "quarantine/copy.raw" not in s3.objects


def test_an_object_that_became_shorter_is_a_changed_range() -> None:
    s3 = FakeS3({KEY: CONTENT})
    source = ObjectBytes(cast(Any, s3), "hub-bucket", ExportedObject(KEY, len(CONTENT) + 10, s3.etag(KEY)))
    with pytest.raises(RangeChanged, match=KEY):
        list(source.chunks(900, len(CONTENT) + 10))
