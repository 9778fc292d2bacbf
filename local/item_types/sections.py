"""Files with sections that follow from the declared item types, and what they have to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from local.item_types.consumers import consumers, throttled_alarms
from local.item_types.dashboard import dashboard
from local.item_types.declared import DECLARATION, DeclarationError, DeclaredType, read_declared
from local.item_types.runbook import ROW_BEGINS, row, sections

TEMPLATE = Path("template.yaml")
RUNBOOK = Path("docs/runbook.md")

_FROM = DECLARATION.as_posix()
_IN_TEMPLATE = (f"  # >>> generated from {_FROM}\n", "  # <<< generated\n")
_IN_RUNBOOK = (f"<!-- >>> generated from {_FROM} -->\n\n", "<!-- <<< generated -->\n")

# The line of the lake's table that lists the values of its partition key.
_PROJECTED = re.compile(r"^( *projection\.item_type\.values: )\S+", re.MULTILINE)

_LOGICAL_ID = re.compile(r"^  (\w+):$", re.MULTILINE)

Render = Callable[[str, Sequence[DeclaredType]], str]


def up_to_date(root: Path) -> dict[Path, str]:
    """The text that each file of the repository at `root` has to have; raises `DeclarationError` where the
    declaration cannot be used, or a file does not say where its section is."""
    types = read_declared((root / DECLARATION).read_text(encoding="utf-8"))
    rendered: dict[Path, Render] = {TEMPLATE: template_with, RUNBOOK: runbook_with}
    return {
        path: render((root / path).read_text(encoding="utf-8"), types) for path, render in rendered.items()
    }


def template_with(text: str, types: Sequence[DeclaredType]) -> str:
    """The template with the consumers of `types`."""
    section = "\n".join(
        [*(consumers(one) for one in types), throttled_alarms(types) + "\n" + dashboard(types)]
    )
    names = ",".join(one.name for one in types)
    taken = set(_LOGICAL_ID.findall(text.partition(_IN_TEMPLATE[0])[0] + text.partition(_IN_TEMPLATE[1])[2]))
    if clashing := sorted(taken & set(_LOGICAL_ID.findall(section))):
        raise DeclarationError(f"{TEMPLATE} has something else named {clashing[0]}.")
    text = _PROJECTED.sub(lambda found: f"{found[1]}{names}", text)
    return _replaced(text, _IN_TEMPLATE, section, TEMPLATE)


def runbook_with(text: str, types: Sequence[DeclaredType]) -> str:
    """The runbook with what is to be done about the alarms of `types`."""
    lines = text.splitlines(keepends=True)
    rows = [place for place, line in enumerate(lines) if line.startswith(ROW_BEGINS)]
    if len(rows) != 1:
        raise DeclarationError(f"{RUNBOOK} has not one row that begins with {ROW_BEGINS!r}.")
    lines[rows[0]] = row(types) + "\n"
    return _replaced("".join(lines), _IN_RUNBOOK, sections(types), RUNBOOK)


def _replaced(text: str, marks: tuple[str, str], section: str, path: Path) -> str:
    """`text` with `section` between two marks, which stay."""
    before, first, rest = text.partition(marks[0])
    _, last, after = rest.partition(marks[1])
    if not first or not last:
        raise DeclarationError(f"{path} lacks the marks around its generated section.")
    return before + first + section + last + after
