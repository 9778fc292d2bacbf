"""Tables of any length for terminals of any width: columns where they fit, else one field per line."""

from collections.abc import Sequence

from local.cli.output import Output, shown

_GAP = 2
_LINES_AT_ONCE = 500


def show_table(output: Output, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Show the rows. A pipe gets a line per row however long, so that grep and awk find whole rows."""
    texts = [[shown(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *texts, strict=True)]
    if output.width is not None and sum(widths) + _GAP * (len(widths) - 1) > output.width:
        _show_fields(output, columns, texts)
        return
    numbers = [
        bool(rows) and all(value is None or isinstance(value, int | float) for value in column)
        for column in zip(*rows, strict=True)
    ] or [False] * len(columns)
    output.line(_aligned(columns, widths, numbers), style="bold")
    for begin in range(0, len(texts), _LINES_AT_ONCE):
        block = texts[begin : begin + _LINES_AT_ONCE]
        output.line("\n".join(_aligned(row, widths, numbers) for row in block))


def _aligned(row: Sequence[str], widths: Sequence[int], numbers: Sequence[bool]) -> str:
    cells = [
        text.rjust(width) if right else text.ljust(width)
        for text, width, right in zip(row, widths, numbers, strict=True)
    ]
    return (" " * _GAP).join(cells).rstrip()


def _show_fields(output: Output, columns: Sequence[str], texts: Sequence[Sequence[str]]) -> None:
    width = max(map(len, columns))
    for row in texts:
        output.line(f"{columns[0]} {row[0]}", style="bold")
        for name, text in zip(columns[1:], row[1:], strict=True):
            if text != "-":
                output.line(f"  {name:<{width}}  {text}")
