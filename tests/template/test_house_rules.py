"""No file of the repository says what belongs to one machine, one moment or one person, and no module or
function has grown past what one can take in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# Written so that this file does not match itself.
FORBIDDEN: dict[str, str] = {
    "a package index": r"--(?:extra-)?index[-]url|https?://[^\s/]+/(?:s[i]mple|p[a]ckages|p[o]ol)/",
    "a path of one machine": r"(?<![\w.>}])/(?:h[o]me|r[o]ot|U[s]ers)/\w",
    "something left to do": r"\b(?:TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b|coming s[o]on",
    "a number of a task": r"(?i)\bissues? #?[0-9]+\b|\bPR #?[0-9]+\b",
    "a key": r"\bA[K]IA(?!IOSFODNN7EXAMPLE)[0-9A-Z]{16}\b|BEGIN (?:RSA )?PRIVATE [K]EY",
}

MAIL = re.compile(r"[\w.+-]+@((?:[\w-]+\.)+[a-z]{2,})\b")
RESERVED_DOMAIN = re.compile(r"(?:.+\.)?(?:example\.(?:com|org|net)|example|test|invalid)")

CODE = ("functions", "local", "workers")
MODULE_LINES = 300
FUNCTION_LINES = 40
"""Docstring included, decorators not."""


def repository_files(root: Path) -> Iterator[Path]:
    """Every text file that belongs to the repository: what .gitignore leaves, without git."""
    ignored = (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    folders = {line.rstrip("/") for line in ignored if line.endswith("/")} | {".git"}
    endings = {line.lstrip("*") for line in ignored if line.startswith("*.")}
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root).parts
        if path.is_file() and not folders & set(inside) and path.suffix not in endings:
            yield path


def findings(root: Path) -> list[str]:
    """Every line that breaks a rule: file, line number and which rule."""
    return [
        f"{path.relative_to(root)}:{number} names {rule}"
        for path in repository_files(root)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        for rule in _broken_by(line)
    ]


def _broken_by(line: str) -> Iterator[str]:
    for rule, pattern in FORBIDDEN.items():
        if re.search(pattern, line):
            yield rule
    for mail in MAIL.finditer(line):
        if not RESERVED_DOMAIN.fullmatch(mail[1]):
            yield "a mail address that may be someone's"


def overgrown(root: Path) -> list[str]:
    """Every module and function of the code that is too long; tests may be longer."""
    paths = sorted(path for folder in CODE for path in (root / folder).rglob("*.py"))
    return [finding for path in paths for finding in _overgrown_in(path, path.relative_to(root).as_posix())]


def _overgrown_in(path: Path, name: str) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    lines = len(text.splitlines())
    if lines > MODULE_LINES:
        yield f"{name} has {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{name}: {node.name} has {length} lines"


def test_no_file_breaks_a_rule(root: Path) -> None:
    assert findings(root) == []


def test_the_whole_repository_is_looked_at(root: Path) -> None:
    looked_at = {path.relative_to(root).as_posix() for path in repository_files(root)}
    assert {"template.yaml", "Makefile", ".ci/run", "functions/common/errors.py", "README.md"} <= looked_at
    assert not [one for one in looked_at if one.startswith((".venv/", ".cache/", ".local/", ".aws-sam/"))]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("pip install --index" + "-url https://packages", "a package index"),
        ("open('/ho" + "me/someone/file')", "a path of one machine"),
        ("# TO" + "DO: later", "something left to do"),
        ("as issue" + " 12 asks", "a number of a task"),
        ("key = AK" + "IA0123456789ABCDEF", "a key"),
        ("write to someone" + "@gmail.com", "a mail address that may be someone's"),
    ],
)
def test_each_rule_finds_what_breaks_it(tmp_path: Path, line: str, rule: str) -> None:
    (tmp_path / ".gitignore").write_text(".venv/\n*.pyc\n")
    (tmp_path / "notes.md").write_text(f"A sound line, mail to someone{'@'}example.com.\n{line}\n")
    assert findings(tmp_path) == [f"notes.md:2 names {rule}"]


def test_what_git_ignores_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text(".venv/\n*.pyc\n")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "notes.md").write_text("TO" + "DO\n")
    (tmp_path / "module.pyc").write_text("TO" + "DO\n")
    assert findings(tmp_path) == []


def test_no_module_and_no_function_is_too_long(root: Path) -> None:
    assert overgrown(root) == []


def function_of(lines: int, indent: str = "", keyword: str = "def") -> str:
    body = "\n".join(f"{indent}    print({number})" for number in range(lines - 1))
    return f"{indent}{keyword} long():\n{body}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("x = 1\n" * MODULE_LINES, []),
        ("x = 1\n" * (MODULE_LINES + 1), ["local/part/module.py has 301 lines"]),
        (function_of(FUNCTION_LINES), []),
        (function_of(FUNCTION_LINES + 1), ["local/part/module.py: long has 41 lines"]),
        (function_of(FUNCTION_LINES + 1, keyword="async def"), ["local/part/module.py: long has 41 lines"]),
        (
            "class Some:\n" + function_of(FUNCTION_LINES + 1, indent="    "),
            ["local/part/module.py: long has 41 lines"],
        ),
    ],
    ids=["a module", "a long module", "a function", "a long function", "a long coroutine", "a long method"],
)
def test_what_is_too_long_is_named(tmp_path: Path, text: str, found: list[str]) -> None:
    module = tmp_path / "local" / "part" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text(text)
    assert overgrown(tmp_path) == found
