"""The commands and what their help says."""

import subprocess
import sys

import pytest

from local.account.lifecycle import REPOSITORY
from local.cli.main import main
from local.demo.options import add_demo


def _help(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit):
        main([*arguments, "--help"], more=[add_demo])
    return " ".join(capsys.readouterr().out.split())


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    shown = _help(capsys)

    account = ("up", "down", "status", "load", "export", "invoke", "logs", "worker", "demo")
    operations = ("runs", "run", "ledger", "quarantine", "state", "resume", "variables", "redrive")
    assert all(f" {name} " in shown for name in (*account, *operations))


def test_help_for_loading_says_that_a_line_needs_an_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert "a line without one is refused" in _help(capsys, "load")


@pytest.mark.parametrize(
    "words", [("runs", "--limit"), ("logs", "--minutes"), ("quarantine", "show", "key", "--record")]
)
@pytest.mark.parametrize("number", ["0", "-5", "x", "1.5", ""])
def test_an_option_that_counts_takes_whole_numbers_of_1_or_more(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], number: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*words[:-1], f"{words[-1]}={number}"])

    assert f"{number!r} is not a whole number of 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "above"),
    [("cli", ("demo",)), ("account", ("cli", "demo")), ("lambda_runtime", ("cli", "demo"))],
)
def test_a_part_does_not_import_what_is_built_upon_it(part: str, above: tuple[str, ...]) -> None:
    source = "\n".join(path.read_text() for path in (REPOSITORY / "local" / part).rglob("*.py"))

    assert [name for name in above if f"local.{name}" in source] == []


def test_the_command_line_starts_with_every_command() -> None:
    command = [sys.executable, "-m", "local", "demo", "--help"]
    shown = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert "--data" in shown.stdout
