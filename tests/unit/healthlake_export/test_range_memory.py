from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FUNCTIONS = Path(__file__).parents[3] / "functions"
LIMIT_MEGABYTES = 200


def test_processing_a_large_object_stays_under_200_megabytes() -> None:
    """Half a gigabyte in 64 MB ranges, with a line of 100 MB, lines just below the limit one after the
    other (good and bad), batches of events as large as they get, and two million ids of the run before."""
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("range_memory.py"))],
        env={**os.environ, "PYTHONPATH": str(FUNCTIONS), "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    measured = json.loads(finished.stdout)
    assert measured["ids"] == 2 * 1024 * 1024
    assert measured["size"] > 400 * 1024 * 1024
    assert measured["bytes"] == measured["size"]
    assert measured["quarantined"] == 2
    assert measured["lines"] == measured["published"] + 2
    assert measured["peak"] < LIMIT_MEGABYTES, measured
