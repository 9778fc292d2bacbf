"""PHI stays where it belongs: marked records go through every function and every failure, and their marks
are found in bodies of objects and in events about resources, and nowhere else.

Looked through are logs and metrics, traces, what functions get, return and raise, inputs, outputs, errors
and histories of executions, events about runs, items of the table, keys and metadata of objects, and the
parameters of every call of AWS, messages with their attributes among them. Resource ids are marked too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from common.errors import HubError
from common.observability import count, logger
from healthlake_export.ndjson import RangeLines
from healthlake_export.quarantine import Quarantine
from local.healthlake.faults import FailedResource
from local.testing.exported_content import export_instead, exported_keys, put_export
from local.testing.marked_records import MARK, Witness, mark
from local.testing.mocked_hub import BUCKET, REGION, TABLE
from local.testing.refusing_bus import bus_refusing

FUNCTIONS = {
    "AcquireRunLockFunction",
    "StartExportFunction",
    "CheckExportFunction",
    "PlanRangesFunction",
    "ProcessRangeFunction",
    "ReconcileRunFunction",
    "AdvanceWatermarkFunction",
    "PublishRunEventsFunction",
    "CleanUpFailedRunFunction",
}


@pytest.fixture
def witness(hub: Any, capfd: pytest.CaptureFixture[str]) -> Iterator[Witness]:
    with Witness(hub, capfd) as witness:
        yield witness


def patient(where: str, **members: Any) -> bytes:
    """A patient with a mark in id, name and whatever else is given."""
    resource = {"resourceType": "Patient", "id": mark(f"id-{where}"), "name": [{"family": mark(where)}]}
    meta = {"meta": {"versionId": "1", "lastUpdated": "2026-03-01T12:00:00Z"}}
    return json.dumps({**resource, **meta, **members}).encode()


BAD_LINES = (
    patient("cut")[:-3],
    patient("twice") + patient("twice"),
    b"\xef\xbb\xbf" + patient("byte-order-mark"),
    patient("latin-1") + b"\xfc",
    b'{"id":"%b"}' % mark("typeless").encode(),
    b'{"resourceType":"Patient","name":"%b"}' % mark("nobody").encode(),
    b'{"resourceType":"Patient","id":["%b"]}' % mark("wrong-type").encode(),
    b'{"resourceType":"%b","id":7}' % mark("type").encode(),
    b'["%b"]' % mark("array").encode(),
    b'{"resourceType":"Patient","id":"deep","a":%b"%b"%b}'
    % (b"[" * 1_100, mark("deep").encode(), b"]" * 1_100),
    patient("long", text=mark("long") * 12_000),
)


def with_bad_lines() -> bytes:
    """Sound lines, small and past the limit of inline details, and every kind of bad line."""
    sound = [patient("small"), patient("large", text=mark("large") * 400)]
    return b"\n".join([*sound, *BAD_LINES])


def test_sound_and_bad_lines_leave_no_mark_where_none_belongs(
    hub: Any, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = RangeLines.__init__.__kwdefaults__
    assert limits is not None
    monkeypatch.setitem(limits, "max_line_bytes", 150_000)
    hub.configure(MAX_INLINE_BYTES="4096")
    hub.put(("Patient", mark("id")), name=[{"family": mark("name")}])
    export_instead(hub, with_bad_lines())

    run = hub.run()
    hub.run()

    assert (run.output["published"], run.output["quarantined"]) == (2, len(BAD_LINES))
    assert witness.leaks() == []
    assert MARK in json.dumps(hub.resource_events(run))
    reasons = {record["reason"] for record in hub.quarantined()}
    assert {
        "NOT_JSON",
        "NOT_UTF8",
        "NO_ID",
        "NO_RESOURCE_TYPE",
        "WRONG_TYPE",
        "TOO_DEEP",
        "TOO_LONG",
    } <= reasons
    assert {"ResourcesPublished", "ResourcesQuarantined"} <= _metric_names(witness)
    assert witness.traces, "X-Ray was told"


def test_incremental_runs_replays_and_batches_leave_no_mark(hub: Any, witness: Witness) -> None:
    hub.put(("Patient", mark("first")), ("Patient", mark("second")), name=[{"family": mark("name")}])
    hub.run()
    hub.put(("Patient", mark("second")), active=True, name=[{"family": mark("name")}])
    hub.run()
    hub.run({"types": ["Patient"], "since": "2026-01-01T00:00:00Z"})
    hub.configure(CHANGE_EVENTS="batch")
    hub.run({"types": ["Patient"]})

    assert [run.status for run in hub.bench.runs] == ["SUCCEEDED"] * 4
    assert hub.detail_types(hub.bench.runs[-1]) == {"FhirResourceChangedBatch"}
    assert witness.leaks() == []


def test_what_healthlake_could_not_export_leaves_no_mark(hub: Any, witness: Witness) -> None:
    hub.configure(ON_EXPORT_ERRORS="hold")
    hub.put(("Patient", mark("sound")), ("Patient", mark("failed")))
    failed = FailedResource("Patient", mark("failed"), diagnostics=f"{mark('diagnostics')} is not a name")
    hub.healthlake.service.faults.errors_in_next_job(failed)

    run = hub.run()

    assert (run.output["published"], run.output["exportErrors"]) == (1, 1)
    assert MARK in json.dumps(hub.quarantined())
    assert witness.leaks() == []


def test_events_that_the_bus_refuses_leave_no_mark(hub: Any, witness: Witness) -> None:
    """Some for good, some for now; the words of a refusal are the service's own and marked."""
    hub.put(*(("Patient", mark(f"id-{number}")) for number in range(4)))
    codes = iter(["MalformedDetail", "InternalFailure"])

    with bus_refusing(lambda _: next(codes, None), words=f"{mark('words')} is malformed"):
        run = hub.run()

    assert (run.output["published"], run.output["quarantined"]) == (3, 1)
    assert witness.leaks() == []


def test_answers_of_healthlake_leave_no_mark(hub: Any, witness: Witness) -> None:
    """Outcomes that quote what they refuse, words that are no JSON, and the message of a failed job."""
    faults = hub.healthlake.service.faults
    outcome = json.dumps({"resourceType": "OperationOutcome", "issue": [{"diagnostics": mark("issue")}]})
    start, look = "StartFHIRExportJobWithPost", "DescribeFHIRExportJobWithGet"
    hub.put(("Patient", mark("id")))

    for action in (start, look):
        faults.answer(1, 500, outcome, action)
        faults.answer(1, 200, mark("no-json"), action)
    assert hub.run().status == "SUCCEEDED"
    for action, status in ((start, 400), (start, 403), (look, 403)):
        faults.answer(1, status, outcome, action)
        assert hub.run().error == "HealthLakeRefused"
    faults.fail_next_job(f"{mark('message')} could not be read")
    assert hub.run().error == "ExportFailed"

    assert faults.waiting()["stand_ins"] == []
    assert witness.leaks() == []


def test_an_object_that_changed_after_the_plan_leaves_no_mark(hub: Any, witness: Witness) -> None:
    hub.put(("Patient", mark("id")))
    process = hub.bench.functions["ProcessRangeFunction"]

    def overwritten(event: Any, context: Any) -> Any:
        run_id = hub.bench.runs[-1].name
        put_export(exported_keys(run_id)[0], patient("other"))
        return process(event, context)

    hub.bench.functions["ProcessRangeFunction"] = overwritten

    assert hub.run().status == "FAILED"
    assert witness.leaks() == []


def test_every_call_of_every_function_may_fail_with_words_of_its_own(hub: Any, witness: Witness) -> None:
    """Each fails once, refused by the service or never answered, in messages that quote a resource."""
    hub.put(("Patient", mark("id")), ("Patient", mark("bad")))
    export_instead(hub, patient("sound") + b"\n" + patient("cut")[:-3])
    failed: set[tuple[str, str]] = set()

    def once(function: str, operation: str) -> Exception | None:
        call = (function, operation)
        if function not in FUNCTIONS or call in failed:
            return None
        failed.add(call)
        return _refused(operation) if len(failed) % 3 else _unanswered()

    witness.fault = once
    for prepare in (lambda: None, hub.healthlake.service.faults.fail_next_job):
        before = -1
        while before < len(failed):
            before = len(failed)
            prepare()
            hub.run()

    assert [run.status for run in hub.bench.runs].count("SUCCEEDED") > 0
    assert {function for function, _ in failed} == FUNCTIONS
    assert {("ProcessRangeFunction", "PutEvents"), ("PlanRangesFunction", "ListObjectsV2")} <= failed
    assert witness.leaks() == []


def test_an_error_that_nobody_expected_leaves_no_mark(hub: Any, witness: Witness) -> None:
    """One in each function, at its first call of AWS."""
    hub.put(("Patient", mark("id")))
    left = set(FUNCTIONS)

    def once(function: str, _operation: str) -> Exception | None:
        if function not in left:
            return None
        left.remove(function)
        return ValueError(f"invalid literal: '{mark('unexpected')}'")

    witness.fault = once
    hub.run()
    hub.healthlake.service.faults.fail_next_job()
    hub.run()

    assert left == set()
    assert "UnexpectedError" in witness.printed
    assert witness.leaks() == []


def _log(text: str) -> None:
    logger().info("line quarantined", line=text)


def _name_a_metric(text: str) -> None:
    count(**{text[-20:-2]: 1})


def _tag_an_object(text: str) -> None:
    boto3.client("s3", REGION).put_object(
        Bucket=BUCKET, Key="quarantine/x", Body=b"", Metadata={"line": text[-20:]}
    )


def _store_an_item(text: str) -> None:
    item = {"pk": {"S": "x"}, "sk": {"S": "x"}, "line": {"S": text}}
    boto3.client("dynamodb", REGION).put_item(TableName=TABLE, Item=item)


def _raise(text: str) -> None:
    raise HubError(text)


def test_leaks_are_found_wherever_they_are(
    hub: Any, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a quarantine that says too much, about each line in another place."""
    ways = [_log, _name_a_metric, _tag_an_object, _store_an_item]

    def leaking(self: Quarantine, line: Any, reason: Any) -> None:
        leak = ways.pop(0) if ways else _raise
        leak(line.text.decode())

    monkeypatch.setattr(Quarantine, "reject", leaking)
    hub.put(("Patient", mark("id")))
    words = ("logged", "metered", "tagged", "stored", "raised")
    export_instead(
        hub, b"\n".join(b'{"resourceType":"Patient","name":"%b"}' % mark(word).encode() for word in words)
    )

    hub.run()

    leaks = witness.leaks()
    assert {"log", "object metadata", "table item", "history", "execution", "ExportFailed"} <= {
        leak.partition(":")[0] for leak in leaks
    }
    assert [word for word in words if not any(mark(word) in leak for leak in leaks)] == []


def _metric_names(witness: Witness) -> set[str]:
    return {
        metric["Name"]
        for line in witness.printed.splitlines()
        if '"CloudWatchMetrics"' in line
        for directive in json.loads(line)["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    }


def _refused(operation: str) -> ClientError:
    words: Any = {"Code": "InternalServerError", "Message": f"{mark('refused')} is not a valid value"}
    metadata: Any = {"HTTPStatusCode": 500, "RequestId": "00000000-0000-0000-0000-000000000000"}
    return ClientError({"Error": words, "ResponseMetadata": metadata}, operation)


def _unanswered() -> EndpointConnectionError:
    return EndpointConnectionError(endpoint_url=f"https://{mark('host')}.example/")
