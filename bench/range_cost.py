"""What the range function takes for a resource: processor time, requests, chunks of events, bytes written.

The handler itself runs over one byte range in a process of its own, with real botocore and no network, once
for each way in which changes can be told, and once over lines that the run before has published.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.answering_aws import AnsweringAws
from bench.fhir_data import BenchData
from local.testing.mocked_hub import CREDENTIALS, DATASTORE_ID, LAKE_BUCKET, HubQueues, hub_environment

ROOT = Path(__file__).parents[1]
MODES = ("resource", "batch", "off", "repeated")
"""How changes are told; or none is one, because the run before has told of all."""

INPUT_BYTES = 24 << 20
KEY = "exports/run/job/mixed.ndjson"
OWNER = "arn:aws:states:us-east-1:123456789012:execution:hub-export:run"
UNSAMPLED = "Root=1-6740b6a0-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0"


@dataclass(frozen=True)
class RangeCost:
    """What one way of telling took: medians, per resource; `range_ms` is what a range of one line takes."""

    mode: str
    cpu_us: float
    range_ms: float
    line_bytes: float
    parquet_bytes: float
    event_chunks: float
    put_events: float
    samples: tuple[float, ...]
    """Microseconds of the processor per resource."""


def measure(samples: int, progress: Callable[[int, int], None]) -> list[RangeCost]:
    """Every mode `samples` times, in turn; raises CalledProcessError when the handler fails."""
    data = BenchData().input("mixed", INPUT_BYTES).path
    taken: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    counted = {mode: _run(mode, data, counts=True) for mode in MODES}
    for number in range(samples):
        for step, mode in enumerate(MODES, start=1):
            taken[mode].append(_run(mode, data))
            progress(number * len(MODES) + step, samples * len(MODES))
    return [_cost(mode, counted[mode], taken[mode]) for mode in MODES]


def _cost(mode: str, counted: Mapping[str, Any], taken: Sequence[Mapping[str, Any]]) -> RangeCost:
    lines = counted["lines"]
    each = tuple(round(1e6 * one["cpu"] / lines, 2) for one in taken)
    return RangeCost(
        mode=mode,
        cpu_us=statistics.median(each),
        range_ms=round(statistics.median(1000 * one["rangeCpu"] for one in taken), 2),
        line_bytes=counted["bytes"] / lines,
        parquet_bytes=counted["written"].get(LAKE_BUCKET, 0) / lines,
        event_chunks=counted["eventChunks"] / lines,
        put_events=counted["operations"].get("eventbridge PutEvents", 0) / lines,
        samples=each,
    )


def _run(mode: str, data: Path, *, counts: bool = False) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.range_cost", mode, str(data), *(["counts"] if counts else [])]
    environment = {
        **CREDENTIALS,
        **hub_environment(HubQueues("http://127.0.0.1/start", "http://127.0.0.1/check")),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}",
        "AWS_EC2_METADATA_DISABLED": "true",
        # traced as deployed; of many requests Lambda samples few
        "LAMBDA_TASK_ROOT": str(ROOT / "functions"),
        "_X_AMZN_TRACE_ID": UNSAMPLED,
        "POWERTOOLS_SERVICE_NAME": "bench",
    }
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(mode: str, data: Path, *, counts: bool) -> None:
    """Process the file as one byte range and print what it took."""
    from common import aws_clients
    from healthlake_export.process_range import lambda_handler

    previous = published_ids(data) if mode == "repeated" else b""
    aws = AnsweringAws(data, previous, OWNER, looks_into_events=counts)
    aws.answer_for(aws_clients.session())
    size = data.stat().st_size
    with data.open("rb") as lines:
        first = len(lines.readline())
    for length in (first, first, size):  # the first call makes clients, the second shows what a range takes
        aws.operations.clear()
        aws.written.clear()
        aws.event_chunks = 0
        before = _cpu()
        lambda_handler(_event(mode, length), _context())
        cpu = _cpu() - before
        if length == first:
            range_cpu = cpu
    with data.open("rb") as exported:
        number = sum(1 for _ in exported)
    found: dict[str, Any] = {"cpu": cpu - range_cpu, "rangeCpu": range_cpu, "lines": number, "bytes": size}
    found |= {"operations": aws.operations, "written": aws.written, "eventChunks": aws.event_chunks}
    print(json.dumps(found))


def published_ids(data: Path) -> bytes:
    """The ids of the lines, as a run leaves them to the next."""
    from healthlake_export.change_events import event_id
    from healthlake_export.resource_keys import Rejection, read_keys

    with data.open("rb") as lines:
        texts = [line.rstrip(b"\n") for line in lines]
    pairs = [(read_keys(text), text) for text in texts]
    return b"".join(
        sorted(event_id(DATASTORE_ID, keys, text) for keys, text in pairs if not isinstance(keys, Rejection))
    )


def _event(mode: str, end: int) -> dict[str, Any]:
    run = {
        "runId": "run",
        "executionArn": OWNER,
        "datastoreId": DATASTORE_ID,
        "mode": "incremental",
        "snapshot": False,
        "events": mode != "off",
        "since": "2026-11-20T10:00:00.000Z",
        "until": None,
        "types": [],
        "startedAt": "2026-11-20T10:05:00.000Z",
        "advancesWatermark": True,
        "previousIds": "runs/before/published-ids.bin",
        "batches": mode == "batch",
    }
    piece = {"index": 0, "key": KEY, "size": end, "etag": '"etag"', "start": 0, "end": end}
    return {
        "run": run,
        "export": {"requestedAt": "2026-11-20T10:05:00.000Z"},
        "range": {**piece, "resourceType": "Observation"},
        "countsEvents": False,
    }


def _context() -> Any:
    return SimpleNamespace(
        function_name="process-range",
        aws_request_id="1",
        memory_limit_in_mb=1769,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:process-range",
        get_remaining_time_in_millis=lambda: 900_000,
    )


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), counts="counts" in sys.argv)
