"""Bad lines in an export: each is quarantined whole, with its reason and the place that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.units import MEBIBYTE
from local.testing.exported_content import export_instead, exported_keys, read_object
from local.testing.range_lab import patient, text_of

MARK = b"\xef\xbb\xbf"
DEEP = b'{"resourceType":"Patient","id":"deep","extension":%b%b}' % (b"[" * 1_100, b"]" * 1_100)
LONG = b'{"resourceType":"Patient","id":"long","text":"%b"}' % (b"x" * 40 * MEBIBYTE)

BAD_LINES: Sequence[tuple[str, bytes]] = (
    ("NOT_JSON", b'{"resourceType":"Patient","id":"corrupt","active":tru'),
    ("NOT_JSON", patient(1) + patient(2)),
    ("NOT_JSON", MARK + patient(3)),
    ("NOT_JSON", b'{"resourceType":"Patient","id":"nul","name":"a\x00b"}'),
    ("NOT_UTF8", b'{"resourceType":"Patient","id":"latin-1","name":"M\xfcller"}'),
    ("NOT_UTF8", b"\xff\xfe\x00\x01"),
    ("NO_RESOURCE_TYPE", b'{"id":"typeless"}'),
    ("NO_ID", b'{"resourceType":"Patient","name":"nobody"}'),
    ("UNKNOWN_TYPE", b'{"resourceType":"Patients","id":"unknown"}'),
    ("WRONG_TYPE", b'{"resourceType":"Patient","id":7}'),
    ("NOT_AN_OBJECT", b'["Patient"]'),
    ("TOO_DEEP", DEEP),
    ("TOO_LONG", LONG),
)


def with_sound_lines_between(bad_lines: Sequence[bytes]) -> bytes:
    """A file that begins with a byte order mark and ends without a newline; some lines end in CRLF."""
    lines = [MARK + patient(100)]
    for number, line in enumerate(bad_lines):
        lines += [line + b"\r" * (number % 2), patient(200 + number)]
    return b"\n".join(lines)


def test_every_bad_line_is_quarantined_whole_with_its_reason_file_and_offset(hub: Any) -> None:
    content = with_sound_lines_between([line for _, line in BAD_LINES])
    hub.configure(RANGE_SIZE_MEGABYTES="32")  # the long line reaches into the second range
    hub.put(("Patient", "p1"))
    export_instead(hub, content)

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    sound = len(BAD_LINES) + 1
    assert (run.output["lines"], run.output["published"]) == (sound + len(BAD_LINES), sound)
    records = sorted(hub.quarantined(), key=lambda record: record["source"]["offset"])
    assert [record["reason"] for record in records] == [reason for reason, _ in BAD_LINES]
    for record, (_, line) in zip(records, BAD_LINES, strict=True):
        source = record["source"]
        assert source["key"] == exported_keys(run.name)[0]
        at_source = content[source["offset"] : source["offset"] + source["length"]]
        assert at_source.rstrip(b"\r\n") == text_of(record, read_object).rstrip(b"\r\n") == line


def test_a_byte_order_mark_at_the_start_of_a_file_costs_no_resource(hub: Any) -> None:
    hub.put(("Patient", "p1"))
    export_instead(hub, MARK + patient(1) + b"\n")

    run = hub.run()

    assert (run.output["published"], run.output["quarantined"]) == (1, 0)
