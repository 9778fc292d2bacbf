"""The layer that instances fetch: all that the worker needs, and for the processor and Python of the
instance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.account.host import architecture, python_runtime
from local.testing.elf import shared_library

LARGEST = 15 * 1024 * 1024


@pytest.fixture(scope="module")
def layer(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What SAM would build for this machine, by the same makefile."""
    artifacts = tmp_path_factory.mktemp("layer")
    subprocess.run(
        ["make", "--makefile", str(root / "workers/Makefile"), "build-WorkerLayer"],
        cwd=root / "workers/wheels" / f"{python_runtime()}-{architecture()}",
        env=os.environ
        | {"ARTIFACTS_DIR": str(artifacts), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return artifacts


def test_the_worker_finds_all_that_it_needs_in_the_layer(layer: Path) -> None:
    """Without site-packages, as on an instance."""
    program = (
        "from hub_worker.aws import make_clients; from hub_worker.program import main; "
        "clients = make_clients(); assert clients.dynamodb and clients.sqs and clients.s3; "
        "raise SystemExit(main({}))"
    )
    answer = subprocess.run(
        [sys.executable, "-S", "-B", "-c", program],
        env={"PYTHONPATH": str(layer / "python"), "AWS_DEFAULT_REGION": "us-east-1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.returncode, answer.stderr) == (
        78,
        "The setting JOBS_QUEUE_URL is missing: set it in the worker's environment.\n",
    )


def test_the_layer_is_small_for_this_processor_and_has_what_installs_it(layer: Path) -> None:
    assert sum(path.stat().st_size for path in layer.rglob("*") if path.is_file()) < LARGEST
    assert {shared_library(path).architecture for path in layer.rglob("*.so")} == {architecture()}
    assert {path.name for path in (layer / "instance").iterdir()} == {"hub-worker.service", "install.sh"}
    assert not list(layer.rglob("__pycache__"))
