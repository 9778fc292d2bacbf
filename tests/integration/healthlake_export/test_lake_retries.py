"""A byte range that is killed at a write, or fails, and is tried again: the lake has each row once."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from random import Random
from typing import Any, cast

import pytest

from common.units import MEBIBYTE
from lake.s3_upload import PART_BYTES
from local.testing.fake_services import FakeS3
from local.testing.lake_rows import SILENT, lake_files, lake_rows, lake_texts
from local.testing.line_mutations import resource_lines
from local.testing.range_lab import Lab, patient

READS = ("get_object", "head_object")


class Killed(BaseException):
    """No code may go on after this."""


class KillingS3:
    """Whoever uses it dies at a write of that number, before or after it took effect. No call that is made
    after that has any effect, as a killed function makes none."""

    def __init__(self, s3: FakeS3, number: int | None = None, *, after: bool = False) -> None:
        self._s3 = s3
        self._number = number
        self._after = after
        self._dead = False
        self.writes: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._s3, name)
        return method if name in READS or not callable(method) else self._write(name, method)

    def _write(self, name: str, method: Any) -> Any:
        def write(**request: Any) -> Any:
            if self._dead:
                raise Killed
            self.writes.append(name)
            if len(self.writes) - 1 != self._number:
                return method(**request)
            self._dead = True
            if self._after:
                method(**request)
            raise Killed

        return write


def process(lab: Lab, s3: KillingS3 | None = None) -> None:
    """Process the lab's object as one range, with `s3` in the place of its own."""
    Lab(cast(FakeS3, s3) if s3 else lab.s3, lab.bus, lab.table).process(lab.ranges(1 << 30), SILENT)


def large_lines() -> list[bytes]:
    """Lines that zstd cannot make smaller, for a file of several parts."""
    random = Random("noise")
    noise = (b64encode(random.randbytes(MEBIBYTE)) for _ in range(PART_BYTES // MEBIBYTE + 1))
    return [b'{"resourceType":"Binary","id":"b%d","data":"%b"}' % (at, data) for at, data in enumerate(noise)]


CONTENTS = {
    "files of many types": [*resource_lines(150), b"{corrupt", *resource_lines(40)[20:]],
    "a file of several parts": large_lines(),
}


@pytest.fixture(params=CONTENTS)
def content(request: pytest.FixtureRequest) -> bytes:
    return b"\n".join(CONTENTS[request.param])


def deaths(writes: list[str]) -> Iterator[tuple[int, bool]]:
    return ((number, after) for number in range(len(writes)) for after in (False, True))


def test_a_range_killed_at_any_write_and_tried_again_leaves_each_row_once(content: bytes) -> None:
    undisturbed = Lab.holding(content)
    watched = KillingS3(undisturbed.s3)
    process(undisturbed, watched)
    files, rows = lake_files(undisturbed.s3.objects), lake_rows(undisturbed.s3.objects)

    for number, after in deaths(watched.writes):
        lab = Lab.holding(content)
        where = f"killed at write {number}, {watched.writes[number]}"
        with pytest.raises(Killed):
            process(lab, KillingS3(lab.s3, number, after=after))
        left_behind = lake_files(lab.s3.objects)
        assert left_behind.items() <= files.items(), f"half a file after it was {where}"
        process(lab)
        assert lake_rows(lab.s3.objects) == rows, where
        lab.reconcile(lab.ranges(1 << 30), SILENT)


def test_several_parts_and_several_files_are_killed_in_the_middle() -> None:
    seen = {}
    for name, lines in CONTENTS.items():
        lab = Lab.holding(b"\n".join(lines))
        watched = KillingS3(lab.s3)
        process(lab, watched)
        seen[name] = watched.writes
    assert seen["files of many types"].count("put_object") > 10
    assert seen["a file of several parts"].count("upload_part") >= 2
    assert seen["a file of several parts"][-1] == "complete_multipart_upload"


def erase(lab: Lab, patient_id: str) -> None:
    """Leave the entry that an erasure leaves."""
    key = ("ERASED#store", f"PATIENT#{patient_id}")
    lab.table.items[key] = {"pk": {"S": key[0]}, "sk": {"S": key[1]}}


def flag(number: int, patient_id: str) -> bytes:
    return b'{"resourceType":"Flag","id":"f%d","subject":{"reference":"Patient/%b"}}' % (
        number,
        patient_id.encode(),
    )


def test_a_retry_with_fewer_rows_leaves_none_of_those_that_it_has_not() -> None:
    lab = Lab.holding(b"\n".join([patient(1), patient(2), flag(1, "p1"), flag(2, "p2")]))
    process(lab)
    erase(lab, "p1")
    process(lab)
    assert lake_texts(lab.s3.objects) == {"Patient": [patient(2)], "Flag": [flag(2, "p2")]}


def test_a_retry_without_any_row_of_a_type_leaves_no_file_of_it() -> None:
    lab = Lab.holding(b"\n".join([patient(2), flag(1, "p1"), flag(2, "p1")]))
    process(lab)
    assert len(lake_files(lab.s3.objects)) == 2
    erase(lab, "p1")
    process(lab)
    assert lake_texts(lab.s3.objects) == {"Patient": [patient(2)]}


def test_a_retry_whose_events_are_refused_leaves_no_file_either() -> None:
    lab = Lab.holding(b"\n".join([patient(1), flag(1, "p1")]))
    lab.process(lab.ranges())
    lab.bus.refused = {"p1": "MalformedDetail"}
    lab.process(lab.ranges())
    assert lake_texts(lab.s3.objects) == {"Flag": [flag(1, "p1")]}
    assert [record["reason"] for record in lab.quarantined()] == ["EVENT_REFUSED"]


def test_a_retry_of_another_range_touches_no_other_file() -> None:
    lines = [patient(number) for number in range(20)]
    lab = Lab.holding(b"\n".join(lines))
    pieces = lab.ranges(400)
    lab.process(pieces, SILENT)
    before = lake_files(lab.s3.objects)
    lab.process(pieces[1:2], SILENT)
    assert lake_files(lab.s3.objects) == before
    assert len(before) == len([piece for piece in pieces if piece.start < piece.end]) > 3
