"""The lake of the deployed stack: what a run exported is asked for, compacted, and asked for again."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from local.cli.export import Run, run_export
from local.cli.lake.compaction_sql import COLUMNS
from local.cli.main import main
from local.cli.operations.hub import DeployedHub
from local.cli.operations.run_items import read_ledger
from local.cli.output import Output
from local.cli.project import Project
from local.cli.sam import account_variables

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub

PATIENT = "asked-for"
WEIGHTS = {"weight-1": "71.10", "weight-2": "71.100", "weight-3": "71"}
REPLAY = {"types": ["Patient", "Observation"], "startedBy": "e2e"}


@dataclass(frozen=True)
class Exported:
    """A replay of patients and observations, with the second version of a patient and three weights in it."""

    hub: DeployedHub
    run: Run

    @property
    def run_id(self) -> str:
        return self.run.finished.run_id


Ask = Callable[..., list[list[str | None]]]


@pytest.fixture(scope="module")
def exported(hub: "Hub") -> Exported:
    _put(hub, f"Patient/{PATIENT}", _named("first"))
    run_export(hub.account, hub.outputs, REPLAY, Output())
    _put(hub, f"Patient/{PATIENT}", _named("second"))
    for name, value in WEIGHTS.items():
        _put(hub, f"Observation/{name}", _weight(name, value))
    run = run_export(hub.account, hub.outputs, REPLAY, Output())
    assert run.completed
    return Exported(DeployedHub(hub.account, hub.stack_name, hub.outputs), run)


def _named(name: str) -> str:
    return f'{{"resourceType":"Patient","id":"{PATIENT}","name":[{{"text":"{name}"}}]}}'


def _weight(name: str, value: str) -> str:
    return (
        f'{{"resourceType":"Observation","id":"{name}","status":"final","code":{{"text":"weight"}},'
        f'"subject":{{"reference":"Patient/{PATIENT}"}},"valueQuantity":{{"value":{value},"unit":"kg"}}}}'
    )


def _put(hub: "Hub", path: str, body: str) -> None:
    assert hub.fhir.put(path, body.encode()).status in (200, 201)


@pytest.fixture
def ask(hub: "Hub", monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs `query` as in a real account, reached by a plain AWS environment; returns the rows."""
    for name, value in account_variables(hub.account).items():
        monkeypatch.setenv(name, value)

    def rows(sql: str) -> list[list[str | None]]:
        capsys.readouterr()
        assert main(["query", sql, "--aws", "--stack", hub.stack_name, "--json"], project=Project()) == 0
        answer: list[list[str | None]] = json.loads(capsys.readouterr().out)["rows"]
        return answer

    return rows


def test_the_lake_has_the_rows_that_the_ledger_counts(ask: Ask, exported: Exported) -> None:
    ledger = read_ledger(exported.hub.client("dynamodb"), exported.hub.table, exported.run_id)
    counted: dict[str, int] = {}
    for item in ledger:
        kind = item.key.split("/")[-2]
        counted[kind] = counted.get(kind, 0) + item.rows
    found = ask(f"select resource_type, count(*) from fhir where run_id = '{exported.run_id}' group by 1")
    assert {str(kind): int(rows or 0) for kind, rows in found} == counted
    assert sum(counted.values()) == exported.run.finished.output["rows"] > 0


def test_decimals_of_a_patients_observations_are_those_that_were_written(
    ask: Ask, exported: Exported
) -> None:
    found = ask(
        "select id, json_extract_scalar(resource, '$.valueQuantity.value') from fhir_current "
        f"where resource_type = 'Observation' and contains(patient_ids, '{PATIENT}') order by id"
    )
    assert found == [[name, value] for name, value in WEIGHTS.items()]


def test_the_latest_version_is_current_and_the_earlier_are_there(ask: Ask, exported: Exported) -> None:
    name = "json_extract_scalar(resource, '$.name[0].text')"
    of_patient = f"where resource_type = 'Patient' and id = '{PATIENT}'"
    assert ask(f"select {name} from fhir_current {of_patient}") == [["second"]]
    assert ask(f"select distinct {name} from fhir {of_patient} order by 1") == [["first"], ["second"]]


def test_compacted_rows_are_the_current_ones(
    ask: Ask, exported: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = f"{COLUMNS}, resource_type"
    assert main(["compact", "--aws", "--stack", exported.hub.stack_name, "--json"], project=Project()) == 0
    types = {one["type"]: one["rows"] for one in json.loads(capsys.readouterr().out)["types"]}

    for kind in ("Patient", "Observation"):
        latest, current = (
            ask(f"select {columns} from {table} where resource_type = '{kind}' order by datastore_id, id")
            for table in ("fhir_latest", "fhir_current")
        )
        assert latest == current
        assert types[kind] == len(latest) > 0
