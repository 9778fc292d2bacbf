"""What commands show: plain lines where there is no terminal, one document for programs."""

import io
import json

import pytest

from local.cli.output import Output, counted, shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _show(output: Output) -> None:
    with output.step("Load [files]") as step:
        step.progress("half")
        step.result = "done"
    output.table("Runs", ("name", "count"), [("full", 1234)])
    output.bad("wrong")


def test_without_a_terminal_there_are_plain_lines() -> None:
    stream = io.StringIO()

    _show(Output(stream))

    assert "\x1b" not in stream.getvalue()
    assert "Load [files]: done" in stream.getvalue()
    assert "1,234" in stream.getvalue()


def test_no_color_is_respected_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()

    _show(Output(stream))

    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()

    Output(stream).bad("wrong")

    assert "\x1b[" in stream.getvalue()


def test_a_line_beside_the_spinner_is_no_longer_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()

    with Output(stream).step("Build") as step:
        step.progress("x" * 100)

    # the terminal's own wrapping would leave parts of a longer line behind
    assert "Build: xxx" in stream.getvalue()
    assert "…" in stream.getvalue()


def test_for_programs_there_is_one_document_and_nothing_else() -> None:
    stream = io.StringIO()
    output = Output(stream, as_json=True)

    _show(output)
    output.document({"loaded": 3})

    assert json.loads(stream.getvalue()) == {"loaded": 3}


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (12345, "12,345"), (True, "yes"), (1.25, "1.2"), ("x", "x")]
)
def test_values_are_shown_as_people_read_them(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (1200, "1,200 files")])
def test_one_thing_is_not_shown_as_many(number: int, text: str) -> None:
    assert counted(number, "file") == text
