"""`runs` and `run`: what table and Step Functions say of runs, together."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from healthlake_export.table_keys import failure_key, outbox_key, run_key
from local.cli.errors import CommandError
from local.cli.operations.audit_items import read_audits
from local.cli.operations.hub import DeployedHub, run_id_in
from local.cli.operations.run import describe_run, run
from local.cli.operations.runs import recent_runs, runs
from local.cli.output import Output
from local.testing.mocked_hub import DATASTORE_ID

if TYPE_CHECKING:
    from tests.unit.local.conftest import FakeStates, Written


def test_runs_come_newest_first_and_no_more_than_asked_for(
    hub: DeployedHub, states: FakeStates, written: Written
) -> None:
    for number in range(5):
        states.add(f"run-{number}", minute=number)
        written.audit(f"run-{number}", published=number)

    found = recent_runs(hub, 3, failed=False)

    assert [(one["runId"], one["published"]) for one in found] == [("run-4", 4), ("run-3", 3), ("run-2", 2)]


def test_more_runs_are_read_than_one_request_to_the_table_takes(
    hub: DeployedHub, states: FakeStates, written: Written
) -> None:
    for number in range(130):
        states.add(f"run-{number}", minute=number)
        written.audit(f"run-{number}")

    assert {one["status"] for one in recent_runs(hub, 1000, failed=False)} == {"COMPLETED"}


def test_only_a_run_that_wrote_no_end_is_asked_for_at_step_functions(
    hub: DeployedHub, states: FakeStates, written: Written
) -> None:
    states.add("completed", minute=1)
    written.audit("completed")
    turned_away = states.add("turned-away", output=json.dumps({"status": "ALREADY_RUNNING"}))

    found = recent_runs(hub, 10, failed=False)

    assert [one["status"] for one in found] == ["COMPLETED", "ALREADY_RUNNING"]
    assert states.described == [turned_away]


def test_a_run_that_was_killed_before_it_could_say_so_is_not_shown_as_running(
    hub: DeployedHub, states: FakeStates, written: Written
) -> None:
    states.add("killed", "ABORTED")
    written.audit("killed", status="RUNNING")

    assert [one["status"] for one in recent_runs(hub, 10, failed=False)] == ["ABORTED"]


def test_failed_runs_are_those_that_failed_were_stopped_or_took_too_long(
    hub: DeployedHub, states: FakeStates
) -> None:
    for minute, status in enumerate(("FAILED", "SUCCEEDED", "TIMED_OUT", "ABORTED", "RUNNING")):
        states.add(status.lower(), status, minute)

    found = recent_runs(hub, 10, failed=True)

    assert [one["runId"] for one in found] == ["aborted", "timed_out", "failed"]


def test_what_is_shown_of_a_run_is_whom_it_was_for_its_window_and_its_counts(
    hub: DeployedHub, states: FakeStates, written: Written
) -> None:
    states.add("run")
    written.audit("run", mode="replay", since="2026-01-01T00:00:00Z", types="Patient", published=7, held=True)
    shown = io.StringIO()

    runs(hub, Output(shown), limit=5, failed=False)

    row = shown.getvalue().splitlines()[-1]
    assert "COMPLETED (held)" in row
    assert "schedule" in row
    assert "since 2026-01-01T00:00:00Z, Patient" in row
    assert "10.0" in row


class _Busy:
    """DynamoDB that leaves a key unread so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def batch_get_item(self, *, RequestItems: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        keys = RequestItems["table"]["Keys"]
        read, left = (keys[:-1], keys[-1:]) if self.times > 0 else (keys, [])
        self.times -= 1
        unread = {"UnprocessedKeys": {"table": {"Keys": left}}} if left else {}
        return {"Responses": {"table": [{**key, "status": {"S": "COMPLETED"}} for key in read]}, **unread}


def test_keys_that_dynamodb_leaves_unread_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)

    assert set(read_audits(_Busy(2), "table", ["one", "two"])) == {"one", "two"}


def test_a_table_that_stays_busy_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)

    with pytest.raises(CommandError, match="too busy"):
        read_audits(_Busy(100), "table", ["one"])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ('{"startedBy": "somebody", "types": ["Nope"]}', "somebody"),
        ("{}", "unknown"),
        ('{"startedBy": "\\u001b[31m"}', None),
        ('["somebody"]', "unknown"),
    ],
)
def test_who_started_a_run_that_never_had_the_lock_is_told_by_its_input(
    hub: DeployedHub, states: FakeStates, written: Written, given: str, shown: str | None
) -> None:
    states.add("refused", "FAILED", input=given)
    written.item(run_key("refused"), runId="refused", status="FAILED", error="InvalidInput")
    states.add("waits", "RUNNING", input=given)

    found = {one["runId"]: one["startedBy"] for one in recent_runs(hub, 10, failed=False)}

    assert found == {"refused": shown, "waits": shown}
    assert describe_run(hub, "refused")["startedBy"] == shown


FAILURE = {"error": "HealthLakeBusy", "cause": json.dumps({"errorMessage": "Throttled.", "stackTrace": []})}


def test_the_failed_state_is_told_in_words_with_its_tries(
    hub: DeployedHub, states: FakeStates, written: Written
) -> None:
    arn = states.add("run", "FAILED", error="HealthLakeBusy", cause="Throttled.")
    written.audit("run", status="FAILED", error="HealthLakeBusy", cause="Throttled.")
    states.tell(
        arn,
        ("TaskStateEntered", {"name": "Acquire Run Lock"}),
        ("TaskFailed", {"error": "RunLockHeld", "cause": "{}"}),
        ("TaskStateEntered", {"name": "Plan Ranges"}),
        ("TaskFailed", FAILURE),
        ("TaskFailed", FAILURE),
        ("TaskStateEntered", {"name": "Clean Up Failed Run"}),
        ("TaskFailed", {"error": "AwsCallFailed", "cause": "{}"}),
        ("ExecutionFailed", {"error": "HealthLakeBusy"}),
    )

    document = describe_run(hub, "run")

    assert document["failedState"] == {
        "state": "Plan Ranges",
        "error": "HealthLakeBusy",
        "cause": "Throttled.",
        "seconds": 4.0,
        "tries": 2,
    }
    assert [one["state"] for one in document["stateFailures"]] == ["Plan Ranges", "Clean Up Failed Run"]


def test_a_run_that_step_functions_has_forgotten_is_told_from_the_table(
    hub: DeployedHub, written: Written
) -> None:
    written.audit("old", startedAt="2026-01-01T00:00:00.000Z", endedAt="2026-01-01T00:00:30.000Z", rows=9)

    document = describe_run(hub, "old")

    assert (document["status"], document["seconds"], document["rows"]) == ("COMPLETED", 30.0, 9)
    assert document["executionStatus"] is None


def test_a_run_shows_its_files_failed_ranges_quarantine_and_outbox(
    hub: DeployedHub, written: Written
) -> None:
    written.run("run")
    written.item(failure_key("run", 1), index=1, error="RangeChanged", reason="It was replaced.")
    written.item(failure_key("run", 7), index=7, error="RangeChanged", reason="It was replaced.")
    written.object("quarantine/run/000001-000.ndjson", b"")
    written.item(outbox_key(DATASTORE_ID, "run"), event="{}")
    shown = io.StringIO()

    run(hub, Output(shown, as_json=True), "run")

    document = json.loads(shown.getvalue())["run"]
    assert [(one["ranges"], one["lines"], one["addsUp"]) for one in document["files"]] == [(2, 3, True)]
    assert [one["processedSince"] for one in document["failedRanges"]] == [True, False]
    assert document["quarantine"] == ["quarantine/run/000001-000.ndjson"]
    assert document["waitsInOutbox"] is True


def test_a_run_that_nobody_knows_is_said_to_be_unknown(hub: DeployedHub) -> None:
    with pytest.raises(CommandError, match="knows a run nobody"):
        describe_run(hub, "nobody")


def test_the_arn_of_an_execution_stands_for_its_run() -> None:
    assert run_id_in("arn:aws:states:eu-west-1:123456789012:execution:hub-export:my-run") == "my-run"


@pytest.mark.parametrize("text", ["", "a/b", "../x", "a b", "x" * 81])
def test_what_cannot_be_a_run_id_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="no run id"):
        run_id_in(text)
