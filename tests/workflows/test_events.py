"""Events about resources: refused by the bus, by reference, in batches, and as many as a run may have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest

from common.retry_policy import RetryPolicy
from healthlake_export import process_range
from local.testing.exported_content import export_instead, read_object
from local.testing.range_lab import patient
from local.testing.refusing_bus import Refusal, bus_refusing

RESOURCES = 25


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The range function tries again at once."""
    monkeypatch.setattr(process_range, "RetryPolicy", partial(RetryPolicy, sleep=lambda _: None))


@pytest.fixture
def refusing() -> Iterator[Any]:
    """Makes the bus refuse entries until the test ends; returns the codes of each call's entries."""
    with ExitStack() as stack:
        yield lambda refusal: stack.enter_context(bus_refusing(refusal))


def put_patients(hub: Any, count: int = RESOURCES) -> set[str]:
    ids = [f"p{number}" for number in range(count)]
    hub.put(*(("Patient", one) for one in ids))
    return set(ids)


def published(hub: Any, run: Any = None) -> Counter[str]:
    """How often each patient was published by an event of its own."""
    return Counter(event["meta"]["id"] for event in hub.resource_events(run))


def is_about_a_resource(entry: Mapping[str, Any]) -> bool:
    return bool(entry["DetailType"].startswith("FhirResource"))


def refusing_first(times: int, code: str, every: int = 1) -> Refusal:
    """Refuses every n-th entry about a resource, each that many times."""
    seen: Counter[str] = Counter()

    def refuse(entry: Mapping[str, Any]) -> str | None:
        identity = json.loads(entry["Detail"])["meta"].get("id", "")
        if not is_about_a_resource(entry) or int(identity[1:]) % every:
            return None
        seen[identity] += 1
        return code if seen[identity] <= times else None

    return refuse


@pytest.mark.parametrize("every", [1, 3], ids=["all", "some"])
@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure", "SomethingNew"])
def test_entries_that_the_bus_refuses_for_now_are_sent_again_and_no_others(
    hub: Any, refusing: Any, code: str, every: int
) -> None:
    ids = put_patients(hub)
    calls = refusing(refusing_first(2, code, every))

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert len(hub.bench.calls("ProcessRangeFunction")) == 1
    assert published(hub) == Counter(ids), "each once"
    assert any(code in codes for codes in calls)


def test_a_bus_that_takes_nothing_for_long_is_asked_again_by_the_retry_of_the_range(
    hub: Any, refusing: Any
) -> None:
    ids = put_patients(hub)

    def refuse(entry: Mapping[str, Any]) -> str | None:
        gave_up = bool(hub.bench.calls("ProcessRangeFunction"))
        return "ThrottlingException" if is_about_a_resource(entry) and not gave_up else None

    refusing(refuse)

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    first, second = hub.bench.calls("ProcessRangeFunction")
    assert (first.error["errorType"], second.error) == ("EventsNotAccepted", None)
    assert published(hub) == Counter(ids)


def test_events_taken_before_a_range_failed_go_out_again_under_the_same_ids(hub: Any, refusing: Any) -> None:
    ids = put_patients(hub)
    refusing(refusing_first(RetryPolicy().tries, "ThrottlingException", every=12))

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert (run.output["published"], set(published(hub))) == (RESOURCES, ids)
    events = {(event["meta"]["id"], event["meta"]["eventId"]) for event in hub.resource_events()}
    assert len(events) == RESOURCES < sum(published(hub).values())


def test_a_bus_that_takes_nothing_at_all_fails_the_run_and_the_next_one_catches_up(
    hub: Any, refusing: Any
) -> None:
    ids = put_patients(hub)
    broken = [True]
    refusing(lambda entry: "InternalFailure" if broken[0] and is_about_a_resource(entry) else None)

    run = hub.run()

    assert (run.status, run.error) == ("FAILED", "ExceedToleratedFailureThreshold")
    assert run.cause.startswith("Byte range 0: EventsNotAccepted: ")
    assert (hub.state.owner, hub.state.watermark) == (None, None)
    broken[0] = False
    assert hub.run().output["published"] == RESOURCES
    assert set(published(hub)) == ids


def test_an_event_that_the_bus_refuses_for_good_is_quarantined_and_the_run_completes(
    hub: Any, refusing: Any
) -> None:
    ids = put_patients(hub)
    refusing(lambda entry: "MalformedDetail" if '"id":"p7"' in entry["Detail"] else None)

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert (run.output["published"], run.output["quarantined"]) == (RESOURCES - 1, 1)
    assert set(published(hub)) == ids - {"p7"}
    record = hub.quarantined()[0]
    assert (record["reason"], json.loads(record["line"])["id"]) == ("EVENT_REFUSED", "p7")


def test_a_resource_whose_event_was_refused_for_good_is_published_again_by_the_next_run(hub: Any) -> None:
    ids = put_patients(hub, 3)
    with bus_refusing(lambda entry: "InvalidArgument" if '"id":"p1"' in entry["Detail"] else None):
        hub.run()

    run = hub.run()

    assert set(published(hub, run)) == {"p1"}, "it lies within the overlap, and no id of it was kept"
    assert set(published(hub)) == ids


def test_a_bus_that_may_not_be_used_fails_the_run_and_says_so(hub: Any, refusing: Any) -> None:
    put_patients(hub, 3)
    refusing(lambda entry: "NotAuthorizedForSourceException" if is_about_a_resource(entry) else None)

    run = hub.run()

    assert run.status == "FAILED"
    assert "NotAuthorizedForSourceException" in run.cause
    assert hub.quarantined() == []
    assert hub.state.watermark is None


def test_a_completion_event_that_the_bus_refuses_leaves_the_run_completed_and_goes_out_with_the_next(
    hub: Any, refusing: Any
) -> None:
    put_patients(hub, 1)
    with bus_refusing(
        lambda entry: "InternalFailure" if entry["DetailType"] == "ExportCompleted" else None
    ) as calls:
        first = hub.run()
    assert (first.status, first.path[-1]) == ("SUCCEEDED", "Export Completed")
    assert calls[-1] == ["InternalFailure"]
    assert hub.state.watermark == first.output["watermark"] is not None
    assert (hub.run_events("ExportCompleted"), [one for one, _ in hub.outbox()]) == ([], [first.name])

    second = hub.run()

    assert [event["runId"] for event in hub.run_events("ExportCompleted")] == [first.name, second.name]
    assert hub.outbox() == []


def test_a_resource_past_the_limit_travels_by_a_reference_to_its_exact_text(hub: Any) -> None:
    hub.configure(MAX_INLINE_BYTES="2048")
    hub.put(("Patient", "p1"))
    large = b'{"resourceType":"Patient","id":"large","text":"\xc3\xa4%b","value":1.10}' % (b"x" * 3_000)
    small = patient(2)
    export_instead(hub, b"\n".join([small, large, b""]))

    hub.run()

    by_id = {event["meta"]["id"]: event for event in hub.resource_events()}
    assert "resource" in by_id["p2"]
    assert "resource" not in by_id["large"]
    reference = by_id["large"]["reference"]
    begin = reference["offset"]
    assert read_object(reference["key"])[begin : begin + reference["length"]] == large


def changes_in_batches(hub: Any) -> list[Any]:
    return [change for event in batch_events(hub) for change in event["changes"]]


def batch_events(hub: Any) -> list[Any]:
    return [event["detail"] for event in hub.bench.events if event["detail-type"].endswith("Batch")]


def test_in_batch_mode_a_run_tells_of_many_resources_in_one_event_and_where_each_lies(hub: Any) -> None:
    hub.configure(CHANGE_EVENTS="batch")
    ids = put_patients(hub)

    run = hub.run()

    assert (run.output["published"], run.output["batched"]) == (RESOURCES, RESOURCES)
    assert hub.detail_types(run) == {"FhirResourceSnapshotBatch"}
    (event,) = batch_events(hub)
    assert event["meta"]["count"] == RESOURCES
    assert event["meta"]["runId"] == run.name
    assert {change["id"] for change in event["changes"]} == ids
    content = read_object(event["reference"]["key"])
    for change in event["changes"]:
        text = content[change["offset"] : change["offset"] + change["length"]]
        assert json.loads(text)["id"] == change["id"]


def test_in_batch_mode_changes_have_the_ids_that_events_of_their_own_would_have(hub: Any) -> None:
    put_patients(hub, 3)
    hub.run()
    alone = {event["meta"]["id"]: event["meta"]["eventId"] for event in hub.resource_events()}
    hub.configure(CHANGE_EVENTS="batch")

    hub.run({"types": ["Patient"]})

    assert {change["id"]: change["eventId"] for change in changes_in_batches(hub)} == alone


def test_in_batch_mode_the_next_run_recognises_what_the_overlap_repeats(hub: Any) -> None:
    hub.configure(CHANGE_EVENTS="batch")
    put_patients(hub, 3)
    hub.run()
    hub.put(("Patient", "p3"))

    run = hub.run()

    assert (run.output["batched"], run.output["repeated"]) == (1, 3)


def test_a_batch_that_the_bus_refuses_for_good_quarantines_every_line_of_it(hub: Any, refusing: Any) -> None:
    hub.configure(CHANGE_EVENTS="batch")
    ids = put_patients(hub, 5)
    refusing(lambda entry: "MalformedDetail" if is_about_a_resource(entry) else None)

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    counts = [run.output[name] for name in ("lines", "published", "batched", "quarantined")]
    assert counts == [5, 0, 0, 5]
    assert {json.loads(record["line"])["id"] for record in hub.quarantined()} == ids


def test_a_run_past_its_bound_on_events_goes_over_to_batches_and_loses_nothing(hub: Any) -> None:
    hub.configure(MAX_EVENTS_PER_RUN="10")
    ids = put_patients(hub)

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    alone = [event["meta"]["id"] for event in hub.resource_events() if "id" in event["meta"]]
    batched = [change["id"] for change in changes_in_batches(hub)]
    assert (len(alone), run.output["batched"]) == (10, RESOURCES - 10)
    assert sorted(alone + batched) == sorted(ids)
    assert run.output["published"] == RESOURCES


def test_the_bound_on_events_holds_for_all_ranges_of_a_run_together(hub: Any) -> None:
    hub.configure(MAX_EVENTS_PER_RUN="10")
    for resource_type in ("Patient", "Group", "Device"):
        hub.put(*((resource_type, f"{resource_type}-{number}") for number in range(8)))

    run = hub.run()

    assert run.output["ranges"] == 3
    alone = [event for event in hub.resource_events() if "id" in event["meta"]]
    assert len(alone) == 10
    assert (run.output["published"], run.output["batched"]) == (24, 14)


def test_a_range_tried_again_does_not_use_the_bound_up_twice(hub: Any, refusing: Any) -> None:
    hub.configure(MAX_EVENTS_PER_RUN="10")
    ids = put_patients(hub)
    refusing(refuse_batches_until_a_retry(hub))

    run = hub.run()

    assert run.status == "SUCCEEDED", run.cause
    assert len(hub.bench.calls("ProcessRangeFunction")) == 2
    assert run.output["batched"] == RESOURCES - 10
    alone = {event["meta"]["id"] for event in hub.resource_events() if "id" in event["meta"]}
    assert alone | {change["id"] for change in changes_in_batches(hub)} == ids
    assert len(alone) == 10


def refuse_batches_until_a_retry(hub: Any) -> Refusal:
    def refuse(entry: Mapping[str, Any]) -> str | None:
        first = not hub.bench.calls("ProcessRangeFunction")
        return "ThrottlingException" if first and entry["DetailType"].endswith("Batch") else None

    return refuse


def test_a_run_below_its_bound_counts_nothing_in_the_table(hub: Any) -> None:
    put_patients(hub, 3)

    run = hub.run()

    assert run.output["batched"] == 0
    counted = [call.event["countsEvents"] for call in hub.bench.calls("ProcessRangeFunction")]
    assert counted == [False]


def test_without_events_a_run_publishes_nothing_and_accounts_for_everything(hub: Any) -> None:
    hub.configure(CHANGE_EVENTS="off")
    put_patients(hub, 3)

    run = hub.run()

    counts = [run.output[name] for name in ("lines", "rows", "published")]
    assert counts == [3, 3, 0]
    assert hub.resource_events() == []
    assert hub.state.watermark == run.output["watermark"] is not None


@pytest.mark.parametrize(("full_run_events", "published_by_it"), [("on", 3), ("off", 0)])
def test_a_full_run_on_request_publishes_snapshots_only_where_full_run_events_are_on(
    hub: Any, full_run_events: str, published_by_it: int
) -> None:
    put_patients(hub, 3)
    hub.run()
    watermark = hub.state.watermark
    hub.configure(FULL_RUN_EVENTS=full_run_events)

    run = hub.run({"full": True})

    assert (run.output["rows"], run.output["published"]) == (3, published_by_it)
    assert hub.detail_types(run) == ({"FhirResourceSnapshot"} if published_by_it else set())
    assert (hub.state.watermark == watermark) is (full_run_events == "off"), "a silent one moves nothing"
