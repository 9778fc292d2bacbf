"""An erasure from its entry to the pass that finds nothing, interrupted and beside others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from healthlake_export import erasures
from healthlake_export.run_state import RunState
from healthlake_export.table_keys import erasure_key, run_key
from local.erasure.erasure import LockHeld
from local.erasure.run_lock import LockLost, RunLock
from local.erasure.stack_buckets import StackResource
from local.testing.mocked_hub import BUCKET, DATASTORE_ID, LAKE_BUCKET, REGION, TABLE
from local.testing.patience import PATIENCE_SECONDS

RESULTS = "hub-results"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = "arn:aws:states:us-east-1:123456789012:execution:hub-export:run-1"
LAKE_FILE = "fhir/resource_type=Observation/export_date=2026-03-01/run-1-000000.parquet"
WRITES = (
    "PutObject",
    "DeleteObjects",
    "UpdateItem",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
)


def dynamodb() -> Any:
    return boto3.client("dynamodb", REGION)


def entry() -> Any:
    return dynamodb().get_item(TableName=TABLE, Key=erasure_key(DATASTORE_ID, "p-1")).get("Item", {})


def lock(erasure_id: str, now: datetime) -> RunLock:
    return RunLock(dynamodb(), TABLE, DATASTORE_ID, erasure_id, lambda: now)


@pytest.fixture
def state(hub: Any) -> RunState:
    return RunState(dynamodb(), TABLE, hub.settings.datastore_id)


@pytest.fixture
def filled(buckets: Any, line: Any, lake_file: Any) -> Any:
    """Buckets with something of the patient in each, old versions and an unfinished upload among it."""
    lines = [line("Observation", f"o-{n}", "p-1" if n % 2 else "p-2") for n in range(6)]
    mine = lake_file([line("Patient", "p-1")])
    buckets.put(LAKE_BUCKET, LAKE_FILE, lake_file(lines), lake_file(lines))
    buckets.put(LAKE_BUCKET, LAKE_FILE.replace("Observation", "Patient"), mine)
    buckets.put(BUCKET, "exports/run-1/job/Observation/Observation-0.ndjson", b"\n".join(lines))
    buckets.put(BUCKET, "quarantine/run-1/000000-7.raw", line("Patient", "p-1"))
    buckets.put(RESULTS, "results/1.csv", b"p-1")
    buckets.s3.create_multipart_upload(Bucket=LAKE_BUCKET, Key="fhir/unfinished.parquet")
    return buckets


class Clock:
    """A time that moves by what is slept. `then` happens at the first sleep that ends later than it says."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now
        self.slept = 0.0
        self.then: list[tuple[float, Callable[[], Any]]] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += timedelta(seconds=seconds)
        for due in [one for one in self.then if one[0] <= self.slept]:
            self.then.remove(due)
            due[1]()


def test_an_erasure_writes_its_entry_verifies_and_gives_the_lock_back(filled: Any, state: RunState) -> None:
    erased = filled.erasure().run()

    assert erased.verified
    assert [one.clean_of_data for one in erased.passes] == [False, True]
    assert erased.passes[0].uploads == 1
    assert erasures.read(dynamodb(), TABLE, DATASTORE_ID) == {"p-1"}
    assert {"erasedAt", "startedBy", "verifiedAt"} <= set(entry())
    assert state.read().owner is None
    assert b"p-1" not in b"".join(filter(None, filled.everything().values()))


def test_done_twice_it_changes_nothing_but_the_time_of_its_verification(filled: Any) -> None:
    filled.erasure().run()
    objects, before = filled.everything(), entry()

    erased = filled.erasure(erasure_id="2", started_by="somebody else").run()

    assert [one.clean for one in erased.passes] == [True]
    assert filled.everything() == objects
    assert {**entry(), "verifiedAt": before["verifiedAt"]} == before


def killed_at(number: int) -> Callable[..., None]:
    """Lets the process die before the write of that number."""
    writes = itertools.count(1)

    def refuse(**_: Any) -> None:
        if next(writes) >= number:
            raise KeyboardInterrupt

    return refuse


@pytest.fixture
def dying(filled: Any) -> Iterator[Callable[[int], Any]]:
    """Makes clients that answer up to a write, and to nothing from there on."""

    def make(number: int) -> Any:
        refuse = killed_at(number)
        services = {name: boto3.client(name, REGION) for name in ("s3", "dynamodb")}
        for client in services.values():
            for write in WRITES:
                client.meta.events.register(f"provide-client-params.*.{write}", lambda **_: refuse())
        return services

    yield make
    assert filled


def test_killed_before_any_of_its_writes_and_run_again_it_finishes(filled: Any, dying: Any) -> None:
    others = {"p-2"}
    for number in itertools.count(1):
        assert number < 40
        try:
            erased = filled.erasure(services=dying(number), erasure_id=str(number)).run()
        except KeyboardInterrupt:
            unlock()
            continue
        break

    assert number > 6, "there were writes to be killed before"
    assert erased.verified
    left = [one for one in filled.everything().values() if one]
    assert b"p-1" not in b"".join(left)
    rows = filled.rows(LAKE_FILE)
    assert {one for row in rows["patient_ids"].to_pylist() for one in row} == others
    assert rows.num_rows == 3


def unlock() -> None:
    """As a stale lock is taken over."""
    dynamodb().update_item(
        TableName=TABLE,
        Key={"pk": {"S": f"DATASTORE#{DATASTORE_ID}"}, "sk": {"S": "STATE"}},
        UpdateExpression="REMOVE #owner",
        ExpressionAttributeNames={"#owner": "owner"},
    )


def test_a_run_under_way_is_waited_for_with_the_entry_written(filled: Any, state: RunState) -> None:
    assert state.acquire("run-1", RUN, now="2026-03-01T11:00:00Z", stale_after="2026-03-01T12:00:00Z")
    clock = Clock()
    seen: list[Any] = []
    clock.then = [(60, lambda: seen.append(erasures.read(dynamodb(), TABLE, DATASTORE_ID))), (60, unlock)]

    assert filled.erasure(clock=clock, sleep=clock.sleep).run().verified
    assert seen == [{"p-1"}]
    assert clock.slept == 60
    assert "run-1" in filled.steps[0].texts[0]


def test_who_does_not_want_to_wait_is_refused_before_anything_is_changed(
    filled: Any, state: RunState
) -> None:
    assert state.acquire("run-1", RUN, now="2026-03-01T11:00:00Z", stale_after="2026-03-01T12:00:00Z")

    with pytest.raises(LockHeld) as refused:
        filled.erasure(wait_seconds=0).run()

    assert refused.value.holder is not None
    assert refused.value.holder.owner == RUN
    assert entry() == {}


def test_waiting_has_an_end(filled: Any, state: RunState) -> None:
    assert state.acquire("run-1", RUN, now="2026-03-01T11:00:00Z", stale_after="2026-03-01T12:00:00Z")
    clock = Clock()

    with pytest.raises(LockHeld):
        filled.erasure(clock=clock, sleep=clock.sleep, wait_seconds=60).run()

    assert 60 <= clock.slept < 70


def test_the_lock_of_a_live_erasure_is_waited_for_and_that_of_a_dead_one_taken(filled: Any) -> None:
    clock = Clock()
    assert lock("other", NOON).acquire()
    clock.then = [(300, lambda: lock("other", clock.now).renew())]

    assert filled.erasure(clock=clock, sleep=clock.sleep).run().verified
    assert 300 + 600 <= clock.slept < 300 + 610, "ten minutes after it was renewed last"


def test_two_erasures_do_not_have_the_lock_at_once(hub: Any) -> None:
    assert hub
    first, second = lock("1", NOON), lock("2", NOON)

    assert first.acquire()
    assert not second.acquire()
    assert not second.release()
    assert first.renew()
    assert first.release()
    assert second.acquire()


def test_an_erasure_that_lost_the_lock_takes_it_again_and_begins_anew(
    filled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    require, calls = RunLock.require, itertools.count(1)

    def lose_once(self: RunLock) -> None:
        if next(calls) == 3:
            raise LockLost
        require(self)

    monkeypatch.setattr(RunLock, "require", lose_once)

    assert filled.erasure().run().verified
    assert [step.name for step in filled.steps].count("Take the run lock") == 2


def test_a_lock_that_is_another_s_is_noticed_by_who_renews_it(hub: Any) -> None:
    assert hub
    mine = RunLock(dynamodb(), TABLE, DATASTORE_ID, "1", renewed_every=timedelta(milliseconds=5))
    assert mine.acquire()

    with mine.kept():
        mine.require()
        unlock()
        assert lock("2", NOON).acquire()
        assert mine._lost.wait(PATIENCE_SECONDS)
        with pytest.raises(LockLost):
            mine.require()

    assert lock("2", NOON).release(), "it is not the loser that gives it back"


def test_a_renewal_that_is_not_answered_is_tried_again(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub
    mine = RunLock(dynamodb(), TABLE, DATASTORE_ID, "1", renewed_every=timedelta(milliseconds=5))
    assert mine.acquire()
    renew, calls = RunLock.renew, itertools.count(1)

    def unanswered_at_first(self: RunLock) -> bool:
        if next(calls) < 3:
            raise EndpointConnectionError(endpoint_url="https://dynamodb.example")
        return renew(self)

    monkeypatch.setattr(RunLock, "renew", unanswered_at_first)
    with mine.kept():
        while next(calls) < 6:
            mine.require()


class ExportJobs:
    """HealthLake with a job that has ended, one into another bucket, and one that ends after some looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    def list_fhir_export_jobs(self, **_: Any) -> Any:
        self.looks -= 1
        jobs = [("1", "COMPLETED", BUCKET), ("2", "IN_PROGRESS", "elsewhere")]
        jobs.append(("3", "CANCEL_IN_PROGRESS" if self.looks >= 0 else "CANCEL_COMPLETED", BUCKET))
        return {
            "ExportJobPropertiesList": [
                {
                    "JobId": job,
                    "JobStatus": status,
                    "OutputDataConfig": {"S3Configuration": {"S3Uri": f"s3://{bucket}/exports/run-1"}},
                }
                for job, status, bucket in jobs
            ]
        }


def test_an_export_job_that_still_writes_is_waited_for(filled: Any) -> None:
    clock = Clock()

    filled.erasure(clock=clock, sleep=clock.sleep, services={"healthlake": ExportJobs(looks=3)}).run()

    assert clock.slept == 15
    assert filled.steps[1].texts == ["export job 3"] * 3


class EndedExecutions:
    """Step Functions with executions, by name, that stopped at these times."""

    def __init__(self, **stopped: datetime) -> None:
        self._stopped = stopped

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        started = NOON - timedelta(hours=5)
        yield {
            "executions": [
                {"name": name.replace("_", "-"), "startDate": started, "stopDate": stopped}
                for name, stopped in self._stopped.items()
            ]
        }


@pytest.mark.parametrize(
    ("status", "minutes_ago", "waited"),
    [("FAILED", 6, 10), ("RUNNING", 6, 10), ("COMPLETED", 6, 0), ("FAILED", 20, 0), (None, 6, 0)],
)
def test_functions_that_a_run_left_behind_are_waited_for_until_none_can_live(
    filled: Any, status: str | None, minutes_ago: int, waited: int
) -> None:
    """A run without an audit item never had the lock."""
    if status is not None:
        dynamodb().put_item(TableName=TABLE, Item={**run_key("run-1"), "status": {"S": status}})
    clock = Clock()
    executions = EndedExecutions(run_1=NOON - timedelta(minutes=minutes_ago))

    filled.erasure(clock=clock, sleep=clock.sleep, services={"stepfunctions": executions}).run()

    assert waited * 60 <= clock.slept <= waited * 60 + 5


def test_a_function_that_began_after_the_entry_knows_it_and_is_not_waited_for(
    filled: Any, state: RunState
) -> None:
    """The run that was under way is stopped ten minutes after the entry was written."""
    dynamodb().put_item(TableName=TABLE, Item={**run_key("run-1"), "status": {"S": "FAILED"}})
    assert state.acquire("run-1", RUN, now="2026-03-01T11:00:00Z", stale_after="2026-03-01T12:00:00Z")
    clock = Clock()
    clock.then = [(600, unlock)]
    executions = EndedExecutions(run_1=NOON + timedelta(minutes=10))

    filled.erasure(clock=clock, sleep=clock.sleep, services={"stepfunctions": executions}).run()

    assert 960 <= clock.slept <= 970


class Queries:
    """Athena with a query that runs for some looks and writes its result then."""

    def __init__(self, buckets: Any, looks: int) -> None:
        self._buckets = buckets
        self._looks = looks

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: Any) -> Any:
        self._looks -= 1
        if self._looks == 0:
            self._buckets.put(RESULTS, "results/late.csv", b"p-1")
        yield {"QueryExecutionIds": ["new", "old"]}

    def batch_get_query_execution(self, **_: Any) -> Any:
        state = "RUNNING" if self._looks > 0 else "SUCCEEDED"
        told = {"new": (state, NOON), "old": ("SUCCEEDED", NOON - timedelta(days=1))}
        return {
            "QueryExecutions": [
                {"QueryExecutionId": one, "Status": {"State": status, "SubmissionDateTime": at}}
                for one, (status, at) in told.items()
            ]
        }


class LateQueries(Queries):
    """Athena whose query begins after the first pass, when something late has come."""

    def paginate(self, **asked: Any) -> Any:
        yield from super().paginate(**asked)
        if self._looks == 2:
            self._buckets.put(RESULTS, "results/came.csv", b"p-1")

    def batch_get_query_execution(self, **asked: Any) -> Any:
        told = super().batch_get_query_execution(**asked)
        for one in told["QueryExecutions"]:
            one["Status"]["State"] = "RUNNING" if self._looks == 1 else "SUCCEEDED"
        return told


def beside(queries: Queries, filled: Any) -> tuple[Any, Clock]:
    """An erasure of a stack with a workgroup, and its clock."""
    clock = Clock()
    workgroup = StackResource("LakeWorkGroup", "AWS::Athena::WorkGroup", "hub")
    erasure = filled.erasure(
        clock=clock,
        sleep=clock.sleep,
        services={"athena": queries},
        resources=(*BUCKETS, workgroup),
    )
    return erasure, clock


def test_a_query_under_way_is_waited_for_and_its_result_goes_too(filled: Any) -> None:
    erasure, clock = beside(Queries(filled, 4), filled)

    assert erasure.run().verified
    assert clock.slept == 10
    assert (RESULTS, "results/late.csv") not in filled.versioned_keys()


def test_a_query_that_may_have_read_what_a_later_pass_erased_is_waited_for_too(filled: Any) -> None:
    """The first pass ends all queries; a late file comes, and a query reads it before the second pass."""
    erasure, clock = beside(LateQueries(filled, 4), filled)

    assert erasure.run().verified
    assert clock.slept == 5


def test_a_query_that_began_before_an_erasure_that_was_killed_leaves_nothing(filled: Any) -> None:
    filled.erasure().run()
    erasure, _ = beside(Queries(filled, 3), filled)

    assert erasure.run().verified
    assert (RESULTS, "results/late.csv") not in filled.versioned_keys()


BUCKETS = (
    StackResource("HubBucket", "AWS::S3::Bucket", BUCKET),
    StackResource("LakeBucket", "AWS::S3::Bucket", LAKE_BUCKET),
    StackResource("QueryResultsBucket", "AWS::S3::Bucket", RESULTS),
)


def test_a_dry_run_changes_nothing_and_takes_no_lock(filled: Any, state: RunState) -> None:
    before = filled.everything()

    found = filled.erasure().look()

    assert found.total().erased > 0
    assert filled.everything() == before
    assert entry() == {}
    assert state.read().owner is None


def test_what_cannot_be_erased_leaves_the_erasure_unverified(filled: Any) -> None:
    filled.put(LAKE_BUCKET, "notes.txt", b"see Patient/p-1")

    erased = filled.erasure().run()

    assert not erased.verified
    assert {key for _, key, _ in erased.passes[-1].left} == {"notes.txt"}
    assert len(erased.passes) == 2, "what no pass can erase is not tried for ever"
    assert "verifiedAt" not in entry()
