"""NDJSON files: every line with its exact text, or the reason why it is not a resource."""

import gzip
from pathlib import Path

import pytest

from local.cli.errors import CommandError
from local.cli.ndjson_files import Line, RefusedLine, ndjson_files, read_lines

PATIENT = b'{"resourceType":"Patient","id":"a","multipleBirthInteger":18446744073709551617,"x":1.10}'


def _read(path: Path, content: bytes) -> list[Line | RefusedLine]:
    path.write_bytes(content)
    return list(read_lines(path))


@pytest.mark.parametrize(
    "content",
    [
        PATIENT + b"\n",
        PATIENT,
        PATIENT + b"\r\n",
        b"\n\r\n" + PATIENT + b"\n\n",
        b"\xef\xbb\xbf" + PATIENT + b"\n",
    ],
    ids=["newline", "no last newline", "CRLF", "blank lines", "byte order mark"],
)
def test_a_line_keeps_its_exact_text(tmp_path: Path, content: bytes) -> None:
    [line] = _read(tmp_path / "Patient.ndjson", content)

    assert isinstance(line, Line)
    assert (line.text, line.key) == (PATIENT, "Patient/a")


def test_a_compressed_file_is_read_like_any_other(tmp_path: Path) -> None:
    [line] = _read(tmp_path / "Patient.ndjson.gz", gzip.compress(PATIENT + b"\n"))

    assert isinstance(line, Line)
    assert line.text == PATIENT


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert _read(tmp_path / "Patient.ndjson", b"") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"resourceType":"Patient"', "not JSON"),
        (b"[1]", "not a JSON object with a resourceType and an id"),
        (b'{"id":"a"}', "no resourceType"),
        (b'{"resourceType":"Patient","id":7}', "not a JSON object with a resourceType and an id"),
        (
            b'{"resourceType":"Patient"}',
            "no id, which it is put under: 1 to 64 letters, digits, '-' and '.'",
        ),
        (
            b'{"resourceType":"Patient","id":"a b"}',
            "no id, which it is put under: 1 to 64 letters, digits, '-' and '.'",
        ),
        (b'{"resourceType":"Patient","id":"a","name":"\xff"}', "not UTF-8"),
    ],
)
def test_a_line_that_is_no_resource_is_refused_with_its_place_and_reason(
    tmp_path: Path, text: bytes, reason: str
) -> None:
    file = tmp_path / "mixed.ndjson"

    lines = _read(file, PATIENT + b"\n" + text + b"\n" + PATIENT + b"\n")

    assert [type(line) for line in lines] == [Line, RefusedLine, Line]
    assert lines[1] == RefusedLine(file, 2, reason)


@pytest.mark.usefixtures("usual_recursion_limit")
def test_a_line_nested_past_what_can_be_read_is_refused(tmp_path: Path) -> None:
    text = b'{"resourceType":"Patient","id":"a","x":' + b"[" * 3000 + b"]" * 3000 + b"}"

    [refused] = _read(tmp_path / "Patient.ndjson", text)

    assert isinstance(refused, RefusedLine)
    assert refused.reason == "nested too deeply"


def test_a_reason_never_holds_anything_of_the_line(tmp_path: Path) -> None:
    [refused] = _read(
        tmp_path / "Patient.ndjson", b'{"resourceType":"Patient","id":"a","name":"Secret\x01"}\n'
    )

    assert "Secret" not in str(refused)


def test_a_damaged_compressed_file_yields_what_can_be_read_and_says_so(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(PATIENT + b"\n" for _ in range(5000)))

    lines = _read(tmp_path / "Patient.ndjson.gz", packed[: len(packed) // 2])

    assert isinstance(lines[-1], RefusedLine)
    assert "the compressed file is damaged" in lines[-1].reason


def test_files_of_a_folder_come_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.ndjson", "a.ndjson.gz", "notes.txt"):
        (tmp_path / name).write_bytes(b"")

    assert [file.name for file in ndjson_files([tmp_path])] == ["a.ndjson.gz", "b.ndjson"]


def test_a_folder_without_ndjson_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=str(tmp_path)):
        ndjson_files([tmp_path])
