"""Poison in the deployed stack.

What cannot be worked on lies at its failure destination, whole, and its alarm goes off; its neighbours and
everything behind it arrive, and so does it once the cause is gone.
"""

import json
from functools import partial
from typing import Any

import pytest

from local.cli.lake.athena import Athena
from local.cli.lake.command import reingest
from local.cli.output import Output
from local.cli.transitions.command import resend
from local.demo.streams.chain import FLUSH, Chain
from local.demo.streams.lake_rows import distinct_rows, row_problems, rows_of
from local.demo.streams.plan import Plan
from local.testing.streamed_hub import StreamedHub, measurements, until

FIREHOSE_TRIES = 4
PIPE_QUEUES = ("RecordsPipeDeadLetterQueue", "LakeRowsPipeDeadLetterQueue")
PIPE_ALARMS = ("records-pipe-dead-letters", "lake-rows-pipe-dead-letters")


@pytest.fixture
def streams(hub: Any) -> StreamedHub:
    return StreamedHub(hub.account, hub.stack_name, hub.outputs)


def test_a_record_of_no_declared_type_lies_in_both_quarantines_and_its_neighbours_arrive(
    streams: StreamedHub,
) -> None:
    plan = measurements("neighbour-", 12)
    poison = {"id": {"S": "poison-1"}, "sk": {"S": "X"}, "itemType": {"S": "Nobody"}, "n": {"N": "1.5"}}
    quarantined, refused = streams.metric("RecordsQuarantined"), streams.metric("LakeRowsRefused")
    with streams.chain(plan) as chain:
        streams.put("RecordsTableName", poison)
        chain.write()

        assert chain.wait_for_events() == chain.wait_for_rows() == len(plan.changes)

    (kept,) = until(lambda: streams.objects(streams.hub.bucket, "quarantine/records/", "poison-1"))
    (failed,) = until(lambda: streams.failed_rows("poison-1")).values()
    (row,) = [one for one in failed if "poison-1" in json.dumps(one)]
    assert kept["record"]["dynamodb"]["NewImage"] == poison
    assert row["malformed"] == "ITEM_TYPE_NOT_DECLARED"
    assert row["record"] == kept["record"]
    assert streams.metric("RecordsQuarantined") == quarantined + 1
    assert streams.metric("LakeRowsRefused") == refused + 1
    assert streams.alarm("records-quarantined") == streams.alarm("lake-rows-refused") == "ALARM"


def test_a_record_that_kills_what_the_pipes_call_leaves_its_position_and_is_redriven(
    streams: StreamedHub,
) -> None:
    before, poison, behind = (
        measurements("before-", 4),
        measurements("deadly-1-", 1),
        measurements("behind-", 8),
    )
    with streams.chain(before) as first, streams.chain(poison) as deadly, streams.chain(behind) as last:
        with streams.dying(poison=poison.prefix, functions=["EnrichChanges", "PrepareLakeRows"]):
            for chain in (first, deadly, last):
                chain.write()

            assert first.wait_for_events() == first.wait_for_rows() == len(before.changes)
            assert last.wait_for_events() == last.wait_for_rows() == len(behind.changes)
            positions = [until(partial(streams.messages, queue)) for queue in PIPE_QUEUES]
            assert [streams.alarm(name) for name in PIPE_ALARMS] == ["ALARM", "ALARM"]

        again = [record for (position,) in positions for record in streams.read_again(position)]
        assert [record["dynamodb"]["NewImage"] for record in again] == [poison.changes[0].new] * 2
        assert (deadly.events.distinct, distinct_rows(Athena.of(streams.hub), poison.prefix)) == (0, 0)

        assert streams.redrive(*PIPE_QUEUES) == [True, True]
        assert deadly.wait_for_events() == deadly.wait_for_rows() == deadly.wait_for_resources() == 1
        assert list(deadly.count().problems) == []
    assert [streams.messages(queue) for queue in PIPE_QUEUES] == [[], []]


def test_a_batch_that_kills_the_transformation_lies_whole_in_the_lake_until_it_is_ingested_again(
    streams: StreamedHub,
) -> None:
    # Whatever stands before it, z after z is the same in the base64 that Firehose sends.
    plan, behind = measurements("beside-", 6), measurements("late-", 6)
    poison = measurements("zzzzzzzzzzzz", 1)
    plans = (plan, poison)
    beside, deadly, last = (streams.chain(one) for one in (*plans, behind))
    with streams.dying(poison="enp6enp6enp6", functions=["PartitionLakeRows"]):
        streams.put_at_once([write.after or {} for one in plans for write in one.writes])
        failed = until(lambda: _flushed(streams, beside, poison.prefix))
        last.write()

        assert last.wait_for_rows() == len(behind.changes)
        assert streams.alarm("lake-rows-transform-failed") == "ALARM"

    ((key, rows),) = failed.items()
    assert sorted((row["item_id"], row["sk"]) for row in rows) == _keys(*plans)
    assert [json.loads(row["item"]) for row in rows if row["item_id"].startswith(poison.prefix)] == [
        {"id": "zzzzzzzzzzzzp", "sk": "MEASUREMENT#0", "itemType": "Measurement", "code": "8310-5"}
        | {"value": 0.5, "unit": "Cel", "status": "final", "measuredAt": "2026-11-20T08:00:00Z"}
    ]
    told = streams.objects(streams.hub.lake_bucket, key, "")
    assert {(one["errorCode"], one["attemptsMade"]) for one in told} == {
        ("Lambda.FunctionError", FIREHOSE_TRIES)
    }

    assert reingest(streams.hub, Output(), key) == 0
    assert (beside.wait_for_rows(), deadly.wait_for_rows()) == (len(plan.changes), 1)
    athena = Athena.of(streams.hub)
    assert [row_problems(one, rows_of(athena, one.prefix)) for one in (*plans, behind)] == [[], [], []]
    assert streams.failed_rows(poison.prefix) == {}


def _keys(*plans: Plan) -> list[tuple[str, str]]:
    return sorted((change.key.id, change.key.sk) for plan in plans for change in plan.changes)


def _flushed(streams: StreamedHub, chain: Chain, having: str) -> dict[str, list[Any]]:
    """What is below the lake's error prefix in objects that have a record with the text, once the delivery
    stream has delivered what it has."""
    chain.ask(FLUSH, "POST")
    return streams.failed_rows(having)


def test_a_record_that_kills_the_detection_of_transitions_lies_whole_in_the_bucket_and_is_resent(
    streams: StreamedHub,
) -> None:
    function = streams.function("DetectTransitionsFunction")
    errors = streams.metric("Errors", "AWS/Lambda", FunctionName=function)
    poison, behind = (
        {"id": {"S": identity}, "itemType": {"S": "Job"}, "phase": {"S": "TESTS_COMPLETE"}}
        for identity in ("deadly-2", "JOB-behind-deadly-2")
    )
    with streams.dying(poison='"deadly-2"', functions=["DetectTransitions"]):
        for image in (poison, behind):
            streams.put("JobsTableName", image)
        (kept,) = until(lambda: streams.objects(streams.hub.bucket, "aws/lambda/", "deadly-2"))

    (record,) = json.loads(kept["payload"])["Records"]
    assert record["dynamodb"]["NewImage"] == poison
    noted = until(lambda: streams.objects(streams.hub.bucket, "transitions/", "JOB-behind-deadly-2"))
    assert len(noted) == 1
    assert streams.metric("Errors", "AWS/Lambda", FunctionName=function) >= errors + 4
    assert streams.alarm("transitions-failed") == "ALARM"

    resend(streams.hub, Output())
    (noted,) = until(lambda: streams.objects(streams.hub.bucket, "transitions/", '"deadly-2"'))
    assert noted["jobId"] == "deadly-2"
