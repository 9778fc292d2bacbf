"""The demo as a user runs it, in a copy of the repository."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.account import state_file
from local.account.lifecycle import REPOSITORY
from local.cli.project import Project
from local.sample_data.generator import write_sample

APPLICATION = (
    "local",
    "functions",
    "layers",
    "workers",
    "statemachines",
    "events",
    "template.yaml",
    "samconfig.toml",
)
CORRUPT = '{"resourceType":"Patient","id":"broken"\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("copy")
    for name in APPLICATION:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    (root / ".cache").symlink_to(REPOSITORY / ".cache")
    return Project(root)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_sample(folder, patients=2)
    (folder / "broken.ndjson").write_text(CORRUPT)
    return folder


def _start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "local", "demo", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=project.root, text=True, **pipes)  # type: ignore[call-overload, no-any-return]


def _run(project: Project, *arguments: str) -> str:
    command = [sys.executable, "-m", "local", *arguments]
    answer = subprocess.run(
        command, cwd=project.root, capture_output=True, text=True, check=True, timeout=240
    )
    return answer.stdout


def _running_below(root: Path) -> list[str]:
    """Command lines of processes that name the folder."""
    listing = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in listing.stdout.splitlines() if str(root) in line]


@pytest.mark.timeout(600)
def test_the_demo_adds_up_beside_an_account_that_is_up_and_leaves_nothing_running(
    project: Project, data: Path
) -> None:
    loaded = sum(len(file.read_text().splitlines()) for file in data.iterdir()) - 1
    try:
        up = json.loads(_run(project, "up", "--json"))
        demo = _start(project, "--data", str(data))
        shown, _ = demo.communicate(timeout=300)
        status = json.loads(_run(project, "status", "--json"))
    finally:
        _run(project, "down")

    assert demo.returncode == 0, shown
    assert "Everything adds up." in shown
    assert f"{data / 'broken.ndjson'}:1: not JSON" in shown
    report = json.loads(project.demo_report.read_text())
    assert (report["loaded"], report["rejected"]) == (loaded, 1)
    full, incremental = report["runs"]
    assert (full["since"], full["published"], incremental["published"]) == (None, loaded, report["changed"])
    assert report["eventsOnBus"] == report["distinctEventIds"] == loaded + report["changed"]
    assert report["redrive"] == {
        "sent": 48,
        "dead": 48,
        "redriven": 48,
        "processed": 46,
        "quarantined": 2,
        "lost": 0,
    }
    streams = report["streams"]
    assert 0 < streams["changes"] == streams["events"] == streams["lakeRows"] < streams["writes"]
    assert streams["fhirWrites"] > 0
    assert 0 < streams["jobsDone"] < streams["transitions"]
    assert streams["lost"] == 0
    assert (status["pid"], status["executions"]) == (up["pid"], [])
    assert _running_below(project.root) == []


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "Wait For Export"),
        (signal.SIGTERM, "Deploy it"),
        (signal.SIGHUP, "Start the local AWS account"),
    ],
)
def test_a_demo_that_is_interrupted_leaves_nothing_running(
    project: Project, data: Path, number: signal.Signals, moment: str
) -> None:
    demo = _start(project, "--data", str(data))
    assert demo.stdout is not None
    shown = ""
    for line in demo.stdout:
        shown += line
        if moment in line:
            break

    demo.send_signal(number)
    rest, _ = demo.communicate(timeout=60)

    assert demo.returncode == 130, shown + rest
    assert _running_below(project.root) == []


def test_a_second_demo_in_the_same_folder_is_refused(project: Project, data: Path) -> None:
    with state_file.lock(project.demo_lock):
        demo = _start(project, "--data", str(data))
        shown, _ = demo.communicate(timeout=60)

    assert demo.returncode == 1
    assert "Another demo runs" in shown
    assert "Build the application" not in shown


def test_data_that_is_not_there_is_told_in_words(project: Project) -> None:
    demo = _start(project, "--data", "no-such-folder")
    shown, _ = demo.communicate(timeout=60)

    assert demo.returncode == 1
    assert "no file or folder no-such-folder" in shown
    assert "Traceback" not in shown
