"""A part of the datastore exported again beside the scheduled runs: nothing lost, the watermark moved only by
the scheduled ones."""

from __future__ import annotations

from typing import Any

import pytest

SCHEDULED = {"startedBy": "schedule"}
WAITED = ["Is The Other Run Alive?", "Does It Cover This One?", "Wait For The Other Run", "Acquire Run Lock"]
REPLAYS = {
    "types": {"types": ["Patient"]},
    "window": {"since": "2026-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"},
}
replays = pytest.mark.parametrize("replayed", REPLAYS.values(), ids=list(REPLAYS))


@pytest.fixture(autouse=True)
def covered(hub: Any) -> str:
    """The watermark that a first run has set."""
    hub.put(("Patient", "p1"), ("Group", "g1"))
    watermark: str = hub.run(SCHEDULED).output["watermark"]
    return watermark


def start_and_hold(hub: Any, request: Any) -> Any:
    """A run whose job is held until it is released."""
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    run = hub.bench.start(request)
    hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")
    return run


def versions(hub: Any, run: Any) -> set[tuple[str, str]]:
    return {(event["meta"]["id"], event["meta"]["versionId"]) for event in hub.resource_events(run)}


@replays
def test_a_replay_beside_a_scheduled_run_waits_for_it_and_then_runs(hub: Any, replayed: Any) -> None:
    hub.put(("Patient", "p1"), ("Patient", "p2"), active=True)
    scheduled = start_and_hold(hub, SCHEDULED)

    replay = hub.bench.start(replayed)
    hub.bench.wait_until(lambda: "Wait For The Other Run" in replay.path)
    assert len(hub.jobs()) == 2
    hub.healthlake.service.exports.release()

    assert scheduled.wait().status == replay.wait().status == "SUCCEEDED", replay.cause
    first_wait = replay.path.index("Is The Other Run Alive?")
    assert replay.path[first_wait : first_wait + 4] == WAITED
    assert versions(hub, scheduled) == {("p1", "2"), ("p2", "1")}
    assert versions(hub, replay) >= {("p1", "2"), ("p2", "1")}
    assert (replay.output["mode"], replay.output["watermark"]) == ("replay", None)
    assert hub.state.watermark == scheduled.output["watermark"]


@replays
def test_a_scheduled_run_beside_a_replay_leaves_its_window_to_the_next_one(
    hub: Any, covered: str, replayed: Any
) -> None:
    replay = start_and_hold(hub, replayed)
    hub.put(("Patient", "p1"), ("Patient", "p2"), active=True)

    scheduled = hub.run(SCHEDULED)
    assert scheduled.path[-1] == "Export Already Running"
    hub.healthlake.service.exports.release()
    assert replay.wait().status == "SUCCEEDED", replay.cause
    assert hub.state.watermark == covered

    following = hub.run(SCHEDULED)
    assert versions(hub, following) == {("p1", "2"), ("p2", "1")}
    assert hub.state.watermark == following.output["watermark"] > covered


def test_a_replay_does_not_make_a_scheduled_run_repeat_or_forget(hub: Any) -> None:
    hub.put(("Patient", "p1"), active=True)
    replay = hub.run({"types": ["Patient"]})

    scheduled = hub.run(SCHEDULED)

    assert versions(hub, replay) == versions(hub, scheduled) == {("p1", "2")}
    ids = [{event["meta"]["eventId"] for event in hub.resource_events(run)} for run in (replay, scheduled)]
    assert ids[0] == ids[1], "consumers drop what they have"


def test_an_execution_name_used_before_is_refused_before_anything_is_locked(hub: Any, covered: str) -> None:
    first = hub.bench.start(SCHEDULED, name="catch-up").wait()
    assert first.status == "SUCCEEDED"
    hub.put(("Patient", "p1"), active=True)
    hub.bench.engine.forget(first.arn)

    second = hub.bench.start(SCHEDULED, name="catch-up").wait()

    assert second.path == ["Acquire Run Lock", "Explain Refusal", "Request Refused"]
    assert second.error == "InvalidInput"
    assert second.cause.startswith("The execution's name was used before, by a run that started at 20")
    assert (hub.state.owner, hub.state.watermark) == (None, first.output["watermark"])
    assert hub.audit(first)["status"] == "COMPLETED", "what is known of the first run stays"
    assert hub.jobs() == ["COMPLETED", "COMPLETED"]
