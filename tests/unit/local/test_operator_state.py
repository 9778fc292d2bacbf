"""`state` and `resume`: who holds the lock, what waits, and how a pause ends."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from healthlake_export.erasures import lock_owner
from healthlake_export.table_keys import outbox_key, state_key
from local.cli.operations.hub import DeployedHub
from local.cli.operations.state import resume, state
from local.cli.output import Output
from local.testing.mocked_hub import DATASTORE_ID

if TYPE_CHECKING:
    from tests.unit.local.conftest import FakeStates, Written


def shown_state(hub: DeployedHub) -> dict[str, Any]:
    shown = io.StringIO()
    state(hub, Output(shown, as_json=True))
    document: dict[str, Any] = json.loads(shown.getvalue())["state"]
    return document


def test_a_hub_that_never_ran_has_no_state(hub: DeployedHub) -> None:
    document = shown_state(hub)

    assert (document["owner"], document["watermark"], document["outbox"]) == (None, None, [])


@pytest.mark.parametrize(("status", "alive"), [("RUNNING", True), ("ABORTED", False), (None, False)])
def test_the_owner_of_the_lock_is_told_alive_or_not(
    hub: DeployedHub, states: FakeStates, written: Written, status: str | None, alive: bool
) -> None:
    owner = states.add("run", status) if status else "arn:unknown"
    written.item(state_key(DATASTORE_ID), owner=owner, runId="run", phase="EXPORTING", jobId="job")
    shown = io.StringIO()

    state(hub, Output(shown))

    assert ("not alive" in shown.getvalue()) is not alive
    assert shown_state(hub)["ownerStatus"] == (status or "unknown to Step Functions")


def test_an_erasure_that_holds_the_lock_is_no_dead_run(hub: DeployedHub, written: Written) -> None:
    written.item(state_key(DATASTORE_ID), owner=lock_owner("1"), phase="ERASING")
    shown = io.StringIO()

    state(hub, Output(shown))

    assert "a patient is being erased" in shown.getvalue()
    assert "not alive" not in shown.getvalue()


def test_what_waits_in_the_outbox_is_told_by_run(hub: DeployedHub, written: Written) -> None:
    event = json.dumps({"detailType": "ExportFailed", "detail": {}})
    written.item(outbox_key(DATASTORE_ID, "run"), event=event)

    assert shown_state(hub)["outbox"] == [{"runId": "run", "detailType": "ExportFailed"}]


def test_the_watermark_is_told_with_its_age(hub: DeployedHub, written: Written) -> None:
    written.item(state_key(DATASTORE_ID), watermark="2026-03-01T12:00:00.000Z")

    assert shown_state(hub)["watermarkAgeSeconds"] > 0


def test_a_pause_is_told_with_what_to_do_and_ended_once(hub: DeployedHub, written: Written) -> None:
    written.item(state_key(DATASTORE_ID), watermark="w", holds=3, pausedAt="2026-03-01T12:00:00.000Z")
    shown = io.StringIO()

    resume(hub, Output(shown))
    resume(hub, Output(shown))

    assert "paused since 2026-03-01T12:00:00.000Z, after 3 held runs" in shown.getvalue()
    assert "not paused" in shown.getvalue()
    answer = hub.client("dynamodb").get_item(TableName=hub.table, Key=state_key(DATASTORE_ID))
    assert set(answer["Item"]) == {"pk", "sk", "watermark"}
