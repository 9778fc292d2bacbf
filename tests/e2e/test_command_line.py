"""The command line as a user runs it: in a copy of the repository with a small application of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.account import processes
from local.account.lifecycle import REPOSITORY
from local.account.settings import HOST
from local.testing.patience import PATIENCE_SECONDS

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  PythonRuntime: {Type: String}
  Architecture: {Type: String}
Resources:
  GreetFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/
      Handler: greet.lambda_handler
      Runtime: !Ref PythonRuntime
      Architectures: [!Ref Architecture]
      Timeout: 10
Outputs:
  Greeter: {Value: !Ref GreetFunction}
"""
SAMCONFIG = """
version = 0.1
[local.deploy.parameters]
stack_name = "small"
"""
HANDLER = """
class Rude(Exception):
    pass

def lambda_handler(event, context):
    if "name" not in event:
        raise Rude("no name")
    print("greeting")
    return f"Hello {event['name']}"
"""


@dataclass(frozen=True)
class Copy:
    """A copy of the repository, with the commands run in it."""

    root: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), **self.options(), check=False, timeout=180)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "--json").stdout)

    def command(self, *arguments: str) -> Sequence[str]:
        return [sys.executable, "-m", "local", *arguments]

    def options(self) -> dict[str, Any]:
        # settings of a user's that must neither be used nor break anything
        user = {"AWS_PROFILE": "somebody", "AWS_ACCESS_KEY_ID": "AKIAUSERSOWNKEY", "AWS_REGION": "eu-west-9"}
        environment = {**os.environ, **user, "HOME": str(self.root / "home")}
        return {"cwd": self.root, "env": environment, "capture_output": True, "text": True}


def _copy(root: Path) -> Copy:
    shutil.copytree(REPOSITORY / "local", root / "local", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "home").mkdir()
    (root / "functions").mkdir()
    (root / "functions" / "greet.py").write_text(HANDLER)
    (root / "functions" / "requirements.txt").write_text("")
    (root / "template.yaml").write_text(TEMPLATE)
    (root / "samconfig.toml").write_text(SAMCONFIG)
    return Copy(root)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    copy = _copy(tmp_path_factory.mktemp("copy"))
    yield copy
    copy.run("down")


@pytest.fixture
def up(copy: Copy) -> Any:
    answer = copy.run("up", "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_up_a_second_time_keeps_the_account_and_builds_nothing(copy: Copy, up: Any) -> None:
    again = copy.run("up")

    assert again.returncode == 0
    assert "already runs" in again.stdout
    assert again.stdout.count("nothing has changed") == 2
    assert copy.json("status")["pid"] == up["pid"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_up_that_is_ended_while_the_account_starts_leaves_nothing_running(
    copy: Copy, number: signal.Signals
) -> None:
    copy.run("down")
    options = copy.options() | {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    options.pop("capture_output")
    with subprocess.Popen(copy.command("up"), **options) as up:
        assert up.stdout is not None
        for line in up.stdout:
            if "Start the local AWS account" in line:
                break

        up.send_signal(number)
        up.stdout.read()

    assert up.returncode == 130
    assert _running_below(copy.root) == []


def _running_below(root: Path) -> list[str]:
    """Command lines of processes that name the folder."""
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in listing.stdout.splitlines() if str(root) in line]


def test_up_twice_at_once_starts_one_account(copy: Copy) -> None:
    copy.run("down")

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: copy.json("up"), range(2))

    assert first["pid"] == second["pid"]


def test_another_port_is_taken_when_the_usual_one_is_in_use(copy: Copy) -> None:
    copy.run("down")
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]

        assert copy.json("up", "--port", str(port))["port"] != port


def test_status_shows_what_is_deployed(copy: Copy, up: Any) -> None:
    status = copy.json("status")

    assert (status["running"], status["endpoint"], status["stack"]) == (True, up["endpoint"], "small")
    assert status["stackStatus"].endswith("_COMPLETE")
    assert list(status["outputs"]) == ["Greeter"]


def test_invoke_shows_what_a_function_returns(copy: Copy, up: Any) -> None:
    event = copy.root / "event.json"
    event.write_text('{"name": "you"}')

    answer = copy.run("invoke", "GreetFunction", "--event", str(event))

    assert answer.returncode == 0
    assert '"Hello you"' in answer.stdout


def test_invoke_fails_with_the_error_type_of_a_function_that_fails(copy: Copy, up: Any) -> None:
    event = copy.root / "nobody.json"
    event.write_text("{}")

    answer = copy.run("invoke", "GreetFunction", "--event", str(event))

    assert answer.returncode == 1
    assert "Rude" in answer.stdout


def test_logs_show_what_a_function_printed(copy: Copy, up: Any) -> None:
    event = copy.root / "event.json"
    event.write_text('{"name": "you"}')
    copy.run("invoke", "GreetFunction", "--event", str(event))

    assert "GreetFunction: greeting" in copy.run("logs", "GreetFunction").stdout


def test_down_leaves_no_process_and_no_listener(copy: Copy, up: Any) -> None:
    event = copy.root / "event.json"
    event.write_text('{"name": "you"}')
    copy.run("invoke", "GreetFunction", "--event", str(event))
    assert len(processes.group_members(up["pid"])) == 2

    assert copy.run("down").returncode == 0

    assert processes.group_members(up["pid"]) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, up["port"]), timeout=1)
    assert copy.run("down").returncode == 0


def test_status_says_that_the_account_has_died_and_where_its_log_is(copy: Copy, up: Any) -> None:
    os.kill(up["pid"], signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while processes.started_token(up["pid"]) and time.monotonic() < deadline:
        time.sleep(0.02)

    status = copy.run("status")

    assert status.returncode == 1
    assert "has died" in status.stdout
    assert str(copy.root / ".local" / "account" / "account.log") in status.stdout


def test_two_copies_run_side_by_side(copy: Copy, up: Any, tmp_path: Path) -> None:
    other = _copy(tmp_path / "other")
    try:
        there = other.json("up")

        assert there["port"] != up["port"]
        assert copy.json("status")["pid"] == up["pid"]
    finally:
        other.run("down")


def test_output_for_a_pipe_has_no_escape_sequences(copy: Copy, up: Any) -> None:
    assert "\x1b" not in copy.run("up").stdout + copy.run("status").stdout


def test_nothing_was_written_to_the_users_home(copy: Copy, up: Any) -> None:
    assert list((copy.root / "home").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("load", "no-such-folder"), "no file or folder no-such-folder"),
        (("load", "functions"), "holds no *.ndjson or *.ndjson.gz file"),
        (("invoke", "NoFunction", "--event", "event.json"), "no function NoFunction"),
        (("invoke", "GreetFunction", "--event", "missing.json"), "missing.json cannot be read"),
    ],
)
def test_a_users_mistake_is_told_in_words(copy: Copy, up: Any, arguments: Sequence[str], what: str) -> None:
    (copy.root / "event.json").write_text("{}")

    answer = copy.run(*arguments)

    assert answer.returncode == 1
    assert what in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("arguments", [("export",), ("logs",), ("invoke", "X", "--event", "template.json")])
def test_a_command_says_how_to_start_the_account_it_needs(tmp_path: Path, arguments: Sequence[str]) -> None:
    copy = _copy(tmp_path / "copy")
    (copy.root / "template.json").write_text("{}")

    answer = copy.run(*arguments)

    assert answer.returncode == 1
    assert "make up" in answer.stderr


def test_a_failing_build_ends_with_sams_own_words_and_nothing_running(tmp_path: Path) -> None:
    copy = _copy(tmp_path / "copy")
    (copy.root / "template.yaml").write_text("Resources: [")

    answer = copy.run("up")

    assert answer.returncode == 1
    assert "`sam build` failed" in answer.stderr
    assert "sam-build.log" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert copy.json("status") == {"running": False}
