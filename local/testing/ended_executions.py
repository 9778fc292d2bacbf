"""Executions that end where no Catch sees it: stopped, out of time, or with too much data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from local.stepfunctions.workbench_run import Run
from local.testing.export_hub import ExportHub
from local.testing.mocked_hub import REGION
from local.testing.moments import Gate

_TOO_MUCH = "x" * (300 * 1024)
_NEARLY_TOO_MUCH = "x" * (255 * 1024)


def stop(run: Run) -> None:
    """StopExecution."""
    run.stop().wait()


def time_out(run: Run) -> None:
    """What the engine does when the execution's own TimeoutSeconds are over."""
    run._execution._env.set_timed_out()
    run.wait()


def hold(hub: ExportHub, function: str, when: str) -> Gate:
    """Let the function's next invocation wait at a gate, before it works or after."""
    gate = Gate()
    handler = hub.bench.functions[function]

    def held(event: Any, context: Any) -> Any:
        if when == "before":
            gate.hold_first()
        answer = handler(event, context)
        if when == "after":
            gate.hold_first()
        return answer

    hub.bench.functions[function] = held
    return gate


def gated(method: Callable[..., Any], gate: Gate, when: str) -> Callable[..., Any]:
    """The method with a first call that waits at the gate, before it does its work or after."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            gate.hold_first()
        answer = method(*args, **kwargs)
        if when == "after":
            gate.hold_first()
        return answer

    return call


def answer_too_much(hub: ExportHub, function: str) -> None:
    """Let the function's next answer be larger than a state's data may be."""
    handler = hub.bench.functions[function]

    def answer(event: Any, context: Any) -> Any:
        hub.bench.functions[function] = handler
        return {**(handler(event, context) or {}), "more": _TOO_MUCH}

    hub.bench.functions[function] = answer


def end_wait_with_too_much(run: Run) -> None:
    """End the state that waits for the export with an output that the callback may have, and the state's
    data together with it may not."""
    scheduled = [event.get("taskScheduledEventDetails", {}) for event in run.history]
    sent = next(json.loads(details["parameters"]) for details in scheduled if "taskToken" in str(details))
    token = sent["MessageBody"]["taskToken"]
    output = json.dumps(_NEARLY_TOO_MUCH + "x" * 900)
    boto3.client("stepfunctions", REGION).send_task_success(taskToken=token, output=output)


def changed_definition(definition: Path, folder: Path, *changes: tuple[str, str]) -> Path:
    """A copy of the state machine file with texts replaced, each of which it must have once."""
    text = definition.read_text()
    for old, new in changes:
        assert text.count(old) == 1, (old, text.count(old))
        text = text.replace(old, new)
    copy = folder / definition.name
    copy.write_text(text)
    return copy
