"""The measurement of cold starts: every function of the template, at its ordinary work, in turn with and
without tracing."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.answering_hub import Hub, answering
from bench.cold_start import cases, environment, phase_of
from bench.cold_start_report import BARE, TRACED, UNCOMPILED, ColdStarts
from bench.lambda_packages import ROOT, Function, Modules, Runtime, functions
from bench.measuring import Case, Measured, Sample
from common import aws_clients
from dlq_redrive.settings import redrive_settings
from healthlake_export.settings import export_settings
from local.testing.sample_events import SAMPLES, sample
from local.testing.template_reader import read

FUNCTIONS = functions(read(ROOT / "template.yaml"))
RUNTIME = Runtime(
    Path("python"),
    compiled=Modules(*map(Path, ("functions", "artifact", "tracing", "parquet"))),
    deployed=Modules(*map(Path, ("functions-", "artifact-", "tracing-", "parquet-"))),
)


@pytest.fixture
def programs() -> Iterator[dict[str, Case]]:
    with cases(RUNTIME, FUNCTIONS) as found:
        yield {case.name: case for case in found}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.name)
def test_a_function_finds_what_its_sample_event_tells_of(
    function: Function, monkeypatch: pytest.MonkeyPatch, lambda_context: Any
) -> None:
    module, _, name = function.handler.rpartition(".")
    with answering(Hub(phase_of(function))) as port:
        for variable, value in environment(port, traces=1).items():
            monkeypatch.setenv(variable, value)
        monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
        aws_clients.forget_clients()
        export_settings.cache_clear()
        redrive_settings.cache_clear()
        handler = getattr(importlib.import_module(module), name)
        answer = handler(sample(SAMPLES[function.name][0]), lambda_context)
    aws_clients.forget_clients()
    export_settings.cache_clear()
    redrive_settings.cache_clear()
    assert not (isinstance(answer, dict) and answer.get("batchItemFailures"))


def test_every_function_has_its_turn_with_and_without_tracing(programs: dict[str, Case]) -> None:
    names = {function.name for function in FUNCTIONS}
    kinds = {name + kind for name in names for kind in ("", TRACED, UNCOMPILED)}
    assert programs.keys() == {"python alone", BARE} | kinds
    assert {
        name: case.environment["POWERTOOLS_TRACE_DISABLED"]
        for name, case in programs.items()
        if name in names
    } == dict.fromkeys(names, "true")


def test_only_a_function_with_the_parquet_layer_finds_its_packages(programs: dict[str, Case]) -> None:
    finding = {name for name, case in programs.items() if "parquet" in case.environment.get("PYTHONPATH", "")}
    assert finding == {f"ProcessRangeFunction{kind}" for kind in ("", TRACED, UNCOMPILED)}


def test_what_is_not_compiled_stays_so(programs: dict[str, Case]) -> None:
    environment = programs["PlanRangesFunction" + UNCOMPILED].environment
    assert environment["PYTHONPATH"] == "functions-:artifact-:tracing-"
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"


def test_the_bare_handler_finds_nothing_of_the_functions(programs: dict[str, Case]) -> None:
    assert "PYTHONPATH" not in programs[BARE].environment


def measured(name: str, cpu: float) -> Measured:
    return Measured(name, (Sample(cpu, 2 * cpu),))


def test_the_report_judges_functions_by_the_bare_handler_and_tracing_by_its_absence() -> None:
    report = ColdStarts(
        [
            measured(BARE, 200),
            measured("Small", 220),
            measured("Small" + TRACED, 231),
            measured("Small" + UNCOMPILED, 300),
            measured("Writer", 400),
            measured("Writer" + TRACED, 440),
        ],
        writing_parquet=["Writer"],
    )

    assert report.most_to_bare() == pytest.approx(1.1)
    assert report.most_by_tracing() == pytest.approx(1.1)
    assert report.table().splitlines()[3].split() == ["Small", "220", "1.10", "440", "231", "1.05", "300"]
    assert report.document()["mostToBare"] == {"found": 1.1, "bound": 1.25}
