"""Every ending of the redrive workflow by its name, and what it tells."""

from __future__ import annotations

import json
from typing import Any

import pytest

from local.testing.redrive_hub import RedriveHub
from local.testing.task_faults import refusal


def test_a_stack_without_dead_letters_has_nothing_to_redrive(redrive: RedriveHub) -> None:
    dead, _ = redrive.pair()

    run = redrive.run()

    assert (run.status, run.path[-1]) == ("SUCCEEDED", "Nothing To Redrive")
    assert run.output["empty"] == [dead.name]


@pytest.mark.parametrize("mode", ["bulk", "counted"])
def test_a_mended_consumer_gets_its_messages_back(redrive: RedriveHub, mode: str) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b", "c")
    consumer = redrive.consumer(work)
    redrive.settled_by(consumer)

    run = redrive.run({"mode": mode})

    assert (run.status, run.path[-1]) == ("SUCCEEDED", "Redriven")
    told = {"queue": dead.name, "outcome": "REDRIVEN", "redriven": 3, "quarantined": 0, "back": 0}
    assert run.output == {"queues": [told], "refused": [], "failed": []}
    assert sorted(consumer.processed) == ["a", "b", "c"]
    assert "owner" not in redrive.lock(dead)


def test_a_consumer_that_stays_broken_returns_them_and_the_run_fails_by_that_name(
    redrive: RedriveHub,
) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")
    redrive.settled_by(redrive.consumer(work, takes=lambda _: False))

    run = redrive.run()

    assert (run.status, run.path[-1], run.error) == ("FAILED", "Returned To DLQ", "ReturnedToDeadLetterQueue")
    told = {"queue": dead.name, "outcome": "RETURNED_TO_DLQ", "redriven": 2, "quarantined": 0, "back": 2}
    assert json.loads(run.cause or "") == {"queues": [told], "refused": [], "failed": []}
    assert sorted(redrive.bodies(dead)) == ["a", "b"]


@pytest.mark.parametrize(("back", "ending"), [(2, "Redriven"), (3, "Returned To DLQ")])
def test_more_than_a_fifth_is_what_it_takes_to_have_returned(
    redrive: RedriveHub, back: int, ending: str
) -> None:
    _, work = redrive.pair()
    redrive.die(work, *map(str, range(10)))
    redrive.settled_by(redrive.consumer(work, takes=lambda body: int(body) >= back))

    assert redrive.run().path[-1] == ending


def test_a_message_without_a_way_back_waits_in_quarantine(redrive: RedriveHub) -> None:
    rule = redrive.queue("rule", kind="rule")
    redrive.send(rule, ["nobody knows for whom"])

    run = redrive.run()

    assert (run.status, run.path[-1]) == ("SUCCEEDED", "Quarantined")
    assert [(one["queue"], one["reason"]) for one in redrive.quarantined()] == [(rule.name, "TARGET_UNKNOWN")]
    assert redrive.bodies(rule) == []


def test_a_dry_run_tells_and_touches_nothing(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    redrive.die(work, "a", "b")

    run = redrive.run({"dryRun": True})

    assert (run.status, run.path[-1]) == ("SUCCEEDED", "Dry Run Reported")
    assert [(one["name"], one["forecast"]["wouldRedrive"]) for one in run.output["queues"]] == [
        (dead.name, 2)
    ]
    assert (len(redrive.bodies(dead)), redrive.bodies(work), redrive.lock(dead)) == (2, [], {})


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"queueArn": "x"}, "'queueArn' must be the ARN"),
        ({"queue": "x"}, "queue"),
        ({"mode": "fast"}, "'mode' must be"),
        ({"maxRedrives": 0}, "maxRedrives"),
        ({"maxMessagesPerSecond": 501}, "maxMessagesPerSecond"),
    ],
)
def test_a_wrong_input_is_refused_with_the_rule_it_broke(
    redrive: RedriveHub, request_: Any, said: str
) -> None:
    run = redrive.run(request_)

    assert (run.status, run.path[-1], run.error) == ("FAILED", "Redrive Refused", "InvalidInput")
    assert said in (run.cause or "")


def test_a_wrong_setting_is_refused(redrive: RedriveHub) -> None:
    redrive.configure(MAX_REDRIVES="many")

    run = redrive.run()

    assert (run.path[-1], run.error) == ("Redrive Refused", "InvalidSetting")


def test_a_redrive_that_cannot_be_planned_fails_by_the_error(redrive: RedriveHub) -> None:
    redrive.bench.functions["PlanRedriveFunction"] = lambda event, context: 1 // 0

    run = redrive.run()

    assert (run.path[-1], run.error) == ("Redrive Not Planned", "RedriveNotPlanned")
    assert json.loads(run.cause or "")["Error"] == "ZeroDivisionError"


def test_one_queue_that_fails_keeps_no_other_from_its_end(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a")
    broken = redrive.queue("async", kind="async")
    redrive.send(broken, ["x"])
    redrive.bench.call_faults.plan("Redrive Messages", refusal("Lambda.ResourceNotFoundException"))

    run = redrive.run()

    assert (run.status, run.path[-1], run.error) == ("FAILED", "Redrive Failed", "RedriveFailed")
    ends = {one["queue"]: one["outcome"] for one in redrive.told(run)}
    assert ends == {"hub-test-dead": "REDRIVEN", "hub-test-async": "FAILED"}
    assert (redrive.bodies(work), redrive.bodies(broken)) == (["a"], ["x"])


def test_a_queue_goes_where_the_input_says(redrive: RedriveHub) -> None:
    dead, work = redrive.pair()
    other = redrive.queue("other")
    redrive.die(work, "a")

    run = redrive.run({"queueArn": dead.arn, "destinationArn": other.arn, "mode": "bulk"})

    assert run.path[-1] == "Redriven"
    assert (redrive.bodies(work), redrive.bodies(other)) == ([], ["a"])


def planning(redrive: RedriveHub, **more: Any) -> None:
    """Let the plan say something more."""
    handler = redrive.bench.functions["PlanRedriveFunction"]
    redrive.bench.functions["PlanRedriveFunction"] = lambda event, context: {
        **handler(event, context),
        **more,
    }


FAILED = [{"name": "hub-test-closed", "error": "RedriveDenied", "reason": "GetQueueAttributes was denied."}]
REFUSED = [{"name": "hub-test-lost", "reason": "No queue of the stack names it."}]


@pytest.mark.parametrize("bodies", [["a"], []])
def test_a_queue_that_could_not_be_looked_at_fails_the_run_after_the_others_went_back(
    redrive: RedriveHub, bodies: list[str]
) -> None:
    _, work = redrive.pair()
    redrive.die(work, *bodies)
    planning(redrive, failed=FAILED)

    run = redrive.run()

    assert (run.path[-1], redrive.bodies(work)) == ("Redrive Failed", bodies)
    assert json.loads(run.cause or "")["failed"] == FAILED


@pytest.mark.parametrize("takes", [True, False])
def test_every_end_tells_which_queues_were_refused(redrive: RedriveHub, takes: bool) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a")
    redrive.settled_by(redrive.consumer(work, takes=lambda _: takes))
    planning(redrive, refused=REFUSED)

    run = redrive.run()

    report = run.output if takes else json.loads(run.cause or "")
    assert run.path[-1] == ("Redriven" if takes else "Returned To DLQ")
    assert report["refused"] == REFUSED


def test_a_queue_that_none_names_any_more_is_redriven_by_what_its_messages_say(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a")
    redrive.sqs.set_queue_attributes(QueueUrl=work.url, Attributes={"RedrivePolicy": ""})

    run = redrive.run()

    assert (run.path[-1], redrive.bodies(work)) == ("Redriven", ["a"])
    assert "Look For A Move Task" not in run.path


def test_a_failure_is_told_whole(redrive: RedriveHub) -> None:
    _, work = redrive.pair()
    redrive.die(work, "a")
    redrive.bench.call_faults.plan("Redrive Messages", refusal("Lambda.ResourceNotFoundException"))

    [told] = redrive.told(redrive.run({"mode": "counted"}))

    assert json.loads(told["cause"]) == {"Error": told["error"], "Cause": json.loads(told["cause"])["Cause"]}
    assert told["error"] == "Lambda.ResourceNotFoundException"
    assert (told["redriven"], told["quarantined"]) == (0, 0)
