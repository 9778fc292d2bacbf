"""Items of 400 KB, the most that DynamoDB takes, through every hop of the deployed stack with both images."""

import json
from typing import Any

import pytest

from local.demo.streams.items import PATIENT, Image, Key
from local.demo.streams.plan import PUT, Plan, Write
from local.testing.streamed_hub import StreamedHub, measurements, until

GIANT_BYTES = 390_000
TOGETHER = 10
"""What the pipe to the bus reads at once: with both images more than the 6 MB that a function is given."""

READ_BY = ("EnrichChangesFunction", "PrepareLakeRowsFunction")
PIPE_QUEUES = ("RecordsPipeDeadLetterQueue", "LakeRowsPipeDeadLetterQueue")


@pytest.fixture
def streams(hub: Any) -> StreamedHub:
    return StreamedHub(hub.account, hub.stack_name, hub.outputs)


def test_a_giant_with_both_images_becomes_event_row_and_resource(streams: StreamedHub) -> None:
    key = Key("giant-p", "PATIENT", PATIENT)
    names = ("Giant" + "ä" * (GIANT_BYTES // 2), "Riesig" + "ü" * (GIANT_BYTES // 2))
    before, after = ({**key.image, "itemType": {"S": PATIENT}, "familyName": {"S": name}} for name in names)
    plan = Plan([Write(PUT, key, None, before), Write(PUT, key, before, after)], "giant-")
    with streams.chain(plan) as chain:
        chain.write()

        assert chain.wait_for_events() == chain.wait_for_rows() == 2
        chain.wait_for_resources()
        count = chain.count()

    # the resource's name is compared with the item's, as are both images of event and row
    assert list(count.problems) == []
    assert (count.events, count.lake_rows, count.fhir_writes) == (2, 2, 1)


def test_ten_giants_that_change_at_once_all_arrive_though_no_function_is_given_them_at_once(
    streams: StreamedHub,
) -> None:
    inserts = measurements("giants-", TOGETHER).writes
    keys = [write.key for write in inserts]
    old, new = (
        [{**(write.after or {}), "note": {"S": letter * GIANT_BYTES}} for write in inserts] for letter in "ab"
    )
    changed = [Write(PUT, *change) for change in zip(keys, old, new, strict=True)]
    plan = Plan(
        [*(Write(PUT, key, None, image) for key, image in zip(keys, old, strict=True)), *changed], "giants-"
    )
    with streams.chain(plan) as chain:
        streams.put_at_once(old)
        until(lambda: chain.events.distinct == TOGETHER)
        with streams.stopped_pipes():
            streams.put_at_once(new)
            invoked = [_invocations(streams, function) for function in READ_BY]

        assert chain.wait_for_events() == chain.wait_for_rows() == len(plan.changes) == 2 * TOGETHER
        chain.wait_for_resources()
        count = chain.count()

    assert list(count.problems) == []
    assert count.fhir_writes == TOGETHER
    for function, before in zip(READ_BY, invoked, strict=True):
        assert _invocations(streams, function) >= before + 2
    assert [streams.messages(queue) for queue in PIPE_QUEUES] == [[], []]


def _invocations(streams: StreamedHub, function: str) -> float:
    return streams.metric("Invocations", "AWS/Lambda", FunctionName=streams.function(function))


def test_a_giant_job_comes_to_the_workers_queue_with_what_it_refers_to(streams: StreamedHub) -> None:
    texts = [f"{number}" * (GIANT_BYTES // 10) for number in range(10)]
    images: list[Image] = [
        {
            "id": {"S": "JOB-giant"},
            "itemType": {"S": "Job"},
            "phase": {"S": "RUNNING"},
            "items": {"L": [{"S": text} for text in texts[:number]]},
        }
        for number in (9, 10)
    ]
    for image in images:
        streams.put("JobsTableName", image)

    message = until(lambda: streams.take("JobsQueue", lambda body: body["key"] == {"id": "JOB-giant"}))

    assert message["rule"] == "tenth-item"
    referred = message["reference"]
    body = streams.hub.client("s3").get_object(Bucket=referred["bucket"], Key=referred["key"])["Body"].read()
    assert len(body) == referred["length"] > GIANT_BYTES
    assert json.loads(body) == {"phase": "RUNNING", "items": texts}
