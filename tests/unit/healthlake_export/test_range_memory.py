from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMPILE = "from healthlake_export import process_range; from common import aws_clients; aws_clients.s3().meta"
FUNCTIONS = Path(__file__).parents[3] / "functions"


def process(name: str) -> dict[str, Any]:
    """What a process of its own measures over the object of this name."""
    # Nothing of what other tests have put into the environment of this process.
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(FUNCTIONS),
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    # Modules that were never imported are compiled first, which takes memory of its own.
    subprocess.run([sys.executable, "-c", COMPILE], env=environment, check=True, timeout=60)
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("range_memory.py")), name],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    measured: dict[str, Any] = json.loads(finished.stdout)
    assert measured["bytes"] == measured["size"]
    return measured


def test_a_large_object_with_a_line_of_5_megabytes_is_processed_in_200_megabytes() -> None:
    """Publishing and writing Parquet: what is held does not grow with the object. The benchmark of the range
    function measures the same for a gigabyte."""
    measured = process("usual")

    assert measured["size"] > 200 * 1024 * 1024
    assert measured["lines"] == measured["published"]
    assert measured["peak"] < 200, measured


def test_the_longest_lines_are_processed_in_a_quarter_of_the_functions_memory() -> None:
    """Half a gigabyte in 64 MB ranges, with a line of 100 MB, lines just below the limit one after the
    other (good and bad), batches of events as large as they get, and two million ids of the run before."""
    measured = process("extreme")

    assert measured["ids"] == 2 * 1024 * 1024
    assert measured["size"] > 400 * 1024 * 1024
    assert measured["quarantined"] == 2
    assert measured["lines"] == measured["published"] + 2
    assert measured["peak"] < 1769 / 4, measured
