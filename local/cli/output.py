"""What commands show: progress on a terminal, plain lines elsewhere, one JSON document for programs."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 160
SPINNER_WIDTH = 3


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command line what a pipe without a reader means."""
        raise BrokenPipeError


class Output:
    """Lines, steps and tables for people, or with `as_json` only the document that ends the command.

    Without a terminal, or with NO_COLOR set, nothing but plain text is written.
    """

    def __init__(self, stream: TextIO | None = None, *, as_json: bool = False) -> None:
        stream = stream or sys.stdout
        self.as_json = as_json
        plain = not stream.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        self._stream = stream
        self._console = _Console(
            file=stream,
            quiet=as_json,
            highlight=False,
            soft_wrap=True,
            force_terminal=False if plain else None,
            color_system=None if plain else "auto",
            width=PLAIN_WIDTH if plain else None,
        )
        self._status: Any = None

    @property
    def live(self) -> bool:
        """Whether a line can be replaced while something goes on."""
        return self._console.is_terminal

    @property
    def width(self) -> int | None:
        """How many characters a line of the terminal has; None where lines may be of any length."""
        return self._console.width if self.live else None

    def line(self, text: str = "", style: str = "") -> None:
        self._console.print(Text(text, style=style))

    def good(self, text: str) -> None:
        self._console.print(Text.assemble(("✓ ", "green"), text))

    def bad(self, text: str) -> None:
        self._console.print(Text.assemble(("✗ ", "bold red"), text))

    def warning(self, text: str) -> None:
        self._console.print(Text.assemble(("! ", "bold yellow"), text))

    @contextmanager
    def step(self, name: str) -> Iterator["Step"]:
        """Show that something goes on, then that it is done and how long it took."""
        step = Step(self, name)
        started = time.monotonic()
        if self.live:
            with self._console.status(self._one_line(name)) as status:
                self._status = status
                try:
                    yield step
                finally:
                    self._status = None
        else:
            self.line(f"- {name} ...")
            yield step
        seconds = time.monotonic() - started
        ended = self.bad if step.failed else self.good
        ended(f"{name}{': ' if step.result else ''}{step.result} ({seconds:.1f} s)")

    def progress(self, name: str, text: str) -> None:
        """Replace what the running step says of itself; without a terminal nothing is written."""
        if self._status is not None:
            self._status.update(self._one_line(f"{name}: {text}"))

    def _one_line(self, text: str) -> Text:
        """The text beside the spinner, as much of it as the terminal is wide."""
        line = Text(text)
        line.truncate(self._console.width - SPINNER_WIDTH, overflow="ellipsis")
        return line

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        table = Table(title=title or None, title_justify="left", title_style="bold", box=None, pad_edge=False)
        for index, column in enumerate(columns):
            numbers = all(isinstance(row[index], int | float) for row in rows) and bool(rows)
            table.add_column(column, justify="right" if numbers else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(shown(value)) for value in row))
        self._console.print(table, soft_wrap=False)

    def fields(self, pairs: Mapping[str, object]) -> None:
        """One line per name and value."""
        width = max(map(len, pairs), default=0)
        for name, value in pairs.items():
            self.line(f"  {name:<{width}}  {shown(value)}")

    def document(self, document: Any) -> None:
        """Write the one JSON document of a command that was asked for it; else nothing."""
        if self.as_json:
            self._stream.write(json.dumps(document, indent=2, default=str) + "\n")
            self._stream.flush()


class Step:
    """A running step, which may say how far it is and what came of it."""

    def __init__(self, output: Output, name: str) -> None:
        self._output = output
        self._name = name
        self.result = ""
        self.failed = False

    def progress(self, text: str) -> None:
        self._output.progress(self._name, text)


def counted(number: int, name: str) -> str:
    """A number of things: 1 file, 1,200 files."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def shown(value: object) -> str:
    """A value as people read it: thousands apart, nothing for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    return str(value)
