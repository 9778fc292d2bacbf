"""The export workflow when nothing goes wrong, and when what goes wrong is part of the day."""

from __future__ import annotations

import json
from typing import Any

import pytest

HAPPY_PATH = [
    "Acquire Run Lock",
    "Wait For Export",
    "Plan Ranges",
    "Was Anything Exported?",
    "Process Export Files",
    "Reconcile Run",
    "Advance Watermark",
    "Publish Export Completed",
    "Export Completed",
]


def test_a_full_run_publishes_every_resource_once_as_a_snapshot(hub: Any) -> None:
    hub.put(("Patient", "p1"), ("Patient", "p2"), ("Group", "g1"))

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert run.path == HAPPY_PATH
    assert [child.path for child in run.children] == [["Process Range"]] * 2
    assert run.output["mode"] == "full"
    assert (run.output["files"], run.output["ranges"]) == (2, 2)
    assert (run.output["lines"], run.output["published"], run.output["repeated"]) == (3, 3, 0)
    published = {(event["meta"]["resourceType"], event["meta"]["id"]) for event in hub.resource_events()}
    assert published == {("Patient", "p1"), ("Patient", "p2"), ("Group", "g1")}
    assert hub.detail_types(run) == {"FhirResourceSnapshot"}


def test_an_incremental_run_publishes_exactly_what_changed(hub: Any) -> None:
    hub.put(("Patient", "p1"), ("Patient", "p2"))
    hub.run()
    hub.put(("Patient", "p2"), ("Patient", "p3"), active=True)

    run = hub.run()

    assert (run.output["mode"], run.output["published"]) == ("incremental", 2)
    assert run.output["lines"] == run.output["published"] + run.output["repeated"] == 3
    changed = {(event["meta"]["id"], event["meta"]["versionId"]) for event in hub.resource_events(run)}
    assert changed == {("p2", "2"), ("p3", "1")}
    assert hub.detail_types(run) == {"FhirResourceChanged"}


def test_a_run_releases_the_lock_moves_the_watermark_and_tells_the_bus(hub: Any) -> None:
    hub.put(("Patient", "p1"))

    run = hub.run()

    assert hub.state.owner is None
    assert hub.state.watermark == run.output["watermark"] is not None
    completed = hub.run_events("ExportCompleted")
    assert [(event["runId"], event["published"]) for event in completed] == [(run.name, 1)]
    assert hub.outbox() == []


def test_nothing_exported_is_a_success_without_a_map(hub: Any) -> None:
    run = hub.run()

    assert run.status == "SUCCEEDED"
    assert "Process Export Files" not in run.path
    assert (run.output["files"], run.output["lines"], run.output["published"]) == (0, 0, 0)
    assert hub.state.watermark is not None


def test_transitions_do_not_grow_with_resources(hub: Any) -> None:
    hub.put(*(("Patient", f"p{number}") for number in range(200)))

    run = hub.run()

    entered = len(run.path) + sum(len(child.path) for child in run.children)
    assert run.output["published"] == 200
    assert entered <= 12 + 4 * run.output["ranges"]


def test_a_silent_full_run_publishes_nothing_and_the_next_run_catches_what_changed_meanwhile(
    hub: Any,
) -> None:
    hub.configure(FULL_RUN_EVENTS="off")
    hub.put(("Patient", "p1"))
    first = hub.run()

    second = hub.run()

    assert (first.output["rows"], first.output["published"]) == (1, 0)
    assert second.output["published"] == 1, "it changed within the overlap and was never published"


def test_a_replay_publishes_the_asked_types_again_with_the_same_ids_and_leaves_the_watermark(
    hub: Any,
) -> None:
    hub.put(("Patient", "p1"), ("Group", "g1"))
    first = hub.run()
    watermark = hub.state.watermark

    replay = hub.run({"types": ["Patient"]})

    assert (replay.output["mode"], replay.output["watermark"]) == ("replay", None)
    assert hub.state.watermark == watermark
    before = {event["meta"]["id"]: event["meta"]["eventId"] for event in hub.resource_events(first)}
    again = {event["meta"]["id"]: event["meta"]["eventId"] for event in hub.resource_events(replay)}
    assert again == {"p1": before["p1"]}


def test_a_replay_of_several_types_and_a_window_is_understood_by_healthlake(hub: Any) -> None:
    hub.put(("Patient", "p1"), ("Group", "g1"), ("Device", "d1"))

    window = {"since": "2026-01-01T00:00:00+01:00", "until": "2100-01-01T00:00:00Z"}
    run = hub.run({"types": ["Patient", "Group"], **window})

    assert run.status == "SUCCEEDED", run.cause
    published = {event["meta"]["id"] for event in hub.resource_events(run)}
    assert published == {"p1", "g1"}


def test_healthlakes_own_word_ends_the_wait_without_any_poll(hub: Any) -> None:
    hub.put(("Patient", "p1"))
    check = hub.bench.functions["CheckExportFunction"]

    def deaf_to_polls(event: Any, context: Any) -> Any:
        is_poll = "check" in json.loads(event["Records"][0]["body"])
        return {"batchItemFailures": []} if is_poll else check(event, context)

    hub.bench.functions["CheckExportFunction"] = deaf_to_polls

    # The job waits for its release, which comes when it is known to be watched.
    hub.healthlake.faults.hold_next_job("IN_PROGRESS")
    run = hub.bench.start()
    hub.bench.wait_until(lambda: hub.state.phase == "EXPORTING")
    hub.healthlake.service.exports.release()

    assert run.wait().status == "SUCCEEDED", run.cause


def test_a_lost_job_event_is_made_up_for_by_polling(hub: Any) -> None:
    hub.put(("Patient", "p1"))
    hub.healthlake.faults.drop_events(10)

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause


def test_a_throttled_start_is_tried_again(hub: Any) -> None:
    hub.put(("Patient", "p1"))
    hub.healthlake.faults.throttle(3, "StartFHIRExportJobWithPost")

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert hub.jobs() == ["COMPLETED"]


@pytest.mark.parametrize("request_", ["[]", "5", '"x"', "null"])
def test_an_input_that_is_no_object_is_refused_in_words(hub: Any, request_: str) -> None:
    run = hub.run(request_)

    assert run.path == ["Acquire Run Lock", "Explain Refusal", "Request Refused"]
    assert (run.error, run.cause) == ("InvalidInput", "The input must be a JSON object, such as {}.")
    assert hub.state.owner is None


@pytest.mark.parametrize(
    "request_",
    [{"type": ["Patient"]}, {"since": "yesterday"}, {"full": "yes"}, {"types": ["Nonsense"]}],
)
def test_a_wrong_input_is_refused_by_name_before_any_export(hub: Any, request_: Any) -> None:
    run = hub.run(request_)

    assert run.status == "FAILED"
    assert run.path == ["Acquire Run Lock", "Explain Refusal", "Request Refused"]
    assert run.error == "InvalidInput"
    assert next(iter(request_)) in run.cause
    assert not run.cause.startswith("{"), "a sentence, not the JSON of a stack trace"
    hub.bench.wait_until(lambda: [e["error"] for e in hub.run_events("ExportFailed")] == ["InvalidInput"])
    assert hub.state.owner is None
    assert hub.jobs() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_INLINE_BYTES", ""),
        ("RANGE_SIZE_MEGABYTES", "big"),
        ("CHECK_QUEUE_URL", "garbage"),
        ("KMS_KEY_ARN", "nope"),
    ],
)
def test_a_wrong_setting_of_any_function_is_refused_by_name_before_any_export(
    hub: Any, name: str, value: str
) -> None:
    hub.configure(**{name: value})

    run = hub.run()

    assert (run.status, run.error) == ("FAILED", "InvalidSetting")
    assert name in run.cause
    assert hub.jobs() == []
    assert hub.state.owner is None
