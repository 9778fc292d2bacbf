"""The deployed hub in a local account of its own, and what one run of it takes there: time, state
transitions, requests, and of each function invocations, processor time and log lines."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.account import lifecycle, processes
from local.account.clients import client, forget_foreign_settings
from local.account.request_counts import PATH as REQUESTS
from local.account.settings import AccountSettings
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.executions import Executions, Finished
from local.cli.logs import LogReader, log_group
from local.cli.output import Output
from local.cli.project import Project
from local.cli.sam import Sam, local_environment

Requests = Mapping[str, int]
"""Numbers of requests by `service operation`."""

_REPORT = re.compile(r"^REPORT RequestId: \S+\tDuration: ([\d.]+) ms")
_SETTLED_SECONDS = 1.0
"""Functions of the run that answer a queue may end a moment after it."""

_OTHERS = "others"


@dataclass(frozen=True)
class FunctionUse:
    """What a run took of one function: milliseconds on the wall and of the processor, bytes of log lines."""

    invocations: int
    wall_ms: float
    cpu_ms: float
    log_bytes: int
    requests: Requests


@dataclass(frozen=True)
class RunUse:
    """What one run took; `transitions` are those of the execution itself, `child_transitions` those of the
    children of its map, and `requests` everybody's but the benchmark's own."""

    seconds: float
    output: Mapping[str, Any]
    transitions: int
    child_transitions: int
    requests: Requests
    functions: Mapping[str, FunctionUse]


@dataclass(frozen=True)
class _Reading:
    """What had been used at a moment, by function."""

    requests: Mapping[str, Counter[str]]
    cpu_ms: Counter[str]


class LocalHub:
    """The hub's stack in a running account."""

    def __init__(self, account: RunningAccount, stack_name: str) -> None:
        self.account = account
        self.outputs = stack.outputs(account, stack_name)
        self._executions = Executions(account, self.outputs["ExportStateMachineArn"])
        deployed = stack.functions(account, stack_name)
        self._logical = {name: logical for logical, name in deployed.items()}
        groups = {logical: log_group(account, name) for logical, name in deployed.items()}
        self._logs = LogReader(client(account, "logs"), groups, int(time.time() * 1000))

    def run(self, document: Mapping[str, Any]) -> RunUse:
        """Run an export with this input to its end; raises RuntimeError when it does not complete."""
        self._logs.new_events()
        before = self._read()
        arn = self._executions.start(document)
        states: list[str] = []
        finished = self._executions.follow(arn, lambda state: states.append(state.name), lambda: None)
        _require_completion(finished)
        time.sleep(_SETTLED_SECONDS)
        used = _difference(before, self._read())
        total = self._executions.transitions(arn)
        return RunUse(
            seconds=finished.seconds,
            output=finished.output,
            transitions=len(states),
            child_transitions=total - len(states),
            requests=dict(sum(used.requests.values(), Counter())),
            functions=_by_function(used, self._logs.new_events()),
        )

    def _read(self) -> _Reading:
        """The counters now. Keys of functions are those of their living workers."""
        keys: dict[str, str] = {}
        cpu_ms: Counter[str] = Counter()
        for pid in processes.group_members(self.account.pid):
            with suppress(OSError):
                environment = _environment(pid)
                name = self._logical.get(environment.get("AWS_LAMBDA_FUNCTION_NAME", ""))
                if name is not None:
                    keys[environment["AWS_ACCESS_KEY_ID"]] = name
                    cpu_ms[name] += _cpu_ms(pid)  # type: ignore[assignment]
        requests: dict[str, Counter[str]] = {}
        for key, services in self._requests().items():
            if key != self.account.access_key_id:
                counts = requests.setdefault(keys.get(key, _OTHERS), Counter())
                for service, operations in services.items():
                    counts.update({f"{service} {name}": number for name, number in operations.items()})
        return _Reading(requests, cpu_ms)

    def _requests(self) -> Mapping[str, Mapping[str, Mapping[str, int]]]:
        address = f"{self.account.endpoint}{REQUESTS}"
        with urllib.request.urlopen(address) as answer:  # noqa: S310 - the local account's
            told: Mapping[str, Mapping[str, Mapping[str, int]]] = json.load(answer)
        return told


@contextmanager
def deployed_hub(state_dir: Path, parameters: Mapping[str, str]) -> Iterator[LocalHub]:
    """The application with these parameters in an account of its own, which is stopped at the end."""
    forget_foreign_settings()
    project = Project()
    output = Output(as_json=True)
    sam = Sam(project, state_dir / "logs", parameters)
    try:
        with output.step("Build and deploy") as step:
            sam.build(step.progress)
            account = lifecycle.start(AccountSettings(port=0, state_dir=state_dir))
            sam.deploy(account, step.progress)
        yield LocalHub(account, local_environment(project.samconfig).stack_name)
    finally:
        lifecycle.stop(state_dir)


def _require_completion(finished: Finished) -> None:
    if finished.status != "SUCCEEDED" or finished.output.get("status") != "COMPLETED":
        raise RuntimeError(
            f"run {finished.run_id} ended as {finished.status}: {finished.error} {finished.cause}"
        )


def _difference(before: _Reading, after: _Reading) -> _Reading:
    requests = {
        name: Counter(counts) - before.requests.get(name, Counter())
        for name, counts in after.requests.items()
    }
    return _Reading(requests, after.cpu_ms - before.cpu_ms)


def _by_function(used: _Reading, events: Sequence[tuple[int, str, str]]) -> dict[str, FunctionUse]:
    invocations: Counter[str] = Counter()
    wall_ms: Counter[str] = Counter()
    log_bytes: Counter[str] = Counter()
    for _, name, text in events:
        log_bytes[name] += len(text.encode()) + 1
        if report := _REPORT.match(text):
            invocations[name] += 1
            wall_ms[name] += float(report[1])  # type: ignore[assignment]
    return {
        name: FunctionUse(
            invocations[name],
            wall_ms[name],
            used.cpu_ms[name],
            log_bytes[name],
            dict(used.requests.get(name, {})),
        )
        for name in sorted(invocations)
    }


def _environment(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(entry.decode(errors="replace").partition("=")[::2] for entry in entries if entry)


def _cpu_ms(pid: int) -> float:
    """Processor time of a process so far, user and system, in milliseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
