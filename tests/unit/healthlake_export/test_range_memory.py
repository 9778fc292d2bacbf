from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.testing.bare_runtime import bare_runtime, link_packages

COMPILE = "from healthlake_export import process_range; from common import aws_clients; aws_clients.s3().meta"
FUNCTIONS = Path(__file__).parents[3] / "functions"
PACKAGES = ("aws-lambda-powertools", "jmespath", "msgspec", "typing-extensions", "pyarrow")
"""Those of the function's artifact and layer."""


@dataclass(frozen=True)
class Lambda:
    """An interpreter with what Lambda has, in which objects of `range_memory.py` are processed."""

    python: Path
    environment: Mapping[str, str]

    def measure(self, name: str) -> dict[str, Any]:
        """What a process of its own measures over the object of this name."""
        finished = self.run(str(Path(__file__).with_name("range_memory.py")), name)
        assert finished.returncode == 0, finished.stderr
        measured: dict[str, Any] = json.loads(finished.stdout)
        assert measured["bytes"] == measured["size"]
        return measured

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Lambda:
    """botocore loads libraries of the project's tools when it finds them, which Lambda has not: they take
    up to 30 MB. Modules that were never imported are compiled first, which takes memory of its own."""
    folder = tmp_path_factory.mktemp("lambda")
    packages = folder / "packages"
    packages.mkdir()
    link_packages(packages, PACKAGES)
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(map(str, (FUNCTIONS, packages))),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    made = Lambda(bare_runtime(folder / "runtime"), environment)
    compiled = made.run("-c", COMPILE)
    assert compiled.returncode == 0, compiled.stderr
    return made


def test_a_large_object_with_a_line_of_5_megabytes_is_processed_in_200_megabytes(
    runtime: Lambda,
) -> None:
    """Publishing and writing Parquet: what is held does not grow with the object. The benchmark of the range
    function measures the same for a gigabyte."""
    measured = runtime.measure("usual")

    assert measured["size"] > 200 * 1024 * 1024
    assert measured["lines"] == measured["published"]
    assert measured["peak"] < 200, measured


def test_the_longest_lines_are_processed_in_a_quarter_of_the_functions_memory(
    runtime: Lambda,
) -> None:
    """Half a gigabyte in 64 MB ranges, with a line of 100 MB, lines just below the limit one after the
    other (good and bad), batches of events as large as they get, and two million ids of the run before."""
    measured = runtime.measure("extreme")

    assert measured["ids"] == 2 * 1024 * 1024
    assert measured["size"] > 400 * 1024 * 1024
    assert measured["quarantined"] == 2
    assert measured["lines"] == measured["published"] + 2
    assert measured["peak"] < 1769 / 4, measured
