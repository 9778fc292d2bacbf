"""Exports of the deployed stack: everything, then exactly what has changed."""

from typing import TYPE_CHECKING

import pytest

from local.cli.export import run_export
from local.cli.load import load_files
from local.cli.ndjson_files import ndjson_files
from local.cli.output import Output
from local.demo.bus_subscriber import BusSubscriber
from local.demo.changes import make_changes
from local.sample_data.generator import write_sample

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub


@pytest.fixture(scope="module")
def loaded(hub: "Hub", tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, patients=3)
    result = load_files(hub.account, hub.outputs["DatastoreEndpoint"], ndjson_files([folder]), Output())
    assert result.refused == []
    return result.accepted


def test_a_full_and_an_incremental_run_publish_each_change_once(hub: "Hub", loaded: set[str]) -> None:
    with BusSubscriber(hub.account, hub.outputs["EventBusName"]) as subscriber:
        stored = hub.stored
        full = run_export(hub.account, hub.outputs, {"full": True}, Output())
        changed = make_changes(hub.fhir, loaded)
        incremental = run_export(hub.account, hub.outputs, {}, Output())
        for run in (full, incremental):
            subscriber.wait_for(run.finished.run_id, int(run.finished.output["published"]), 60.0)
        assert subscriber.wait_until_empty(60.0)

    assert (full.completed, incremental.completed) == (True, True)
    assert full.finished.output["published"] == stored >= len(loaded)
    assert incremental.finished.output["published"] == len(changed)
    assert subscriber.count.events == subscriber.count.distinct_ids == stored + len(changed)
    for run in (full, incremental):
        assert run.transitions <= 12 + 4 * run.finished.output["ranges"]


def test_a_wrong_input_is_refused_by_name_and_leaves_nothing_locked(hub: "Hub") -> None:
    refused = run_export(hub.account, hub.outputs, {"typos": ["Patient"]}, Output())
    after = run_export(hub.account, hub.outputs, {}, Output())

    assert refused.finished.status == "FAILED"
    assert "typos" in refused.finished.cause
    assert after.completed
