"""What has to happen for a permission of uploads and of the jobs table to be needed.

As in `stream_scenarios`: an object is uploaded, or a job changes, on the way to the workers' queue, to an
object, or to where what fails is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.soak.permissions.dead_letters import DeadLetters
from local.soak.permissions.shown import Journey
from local.soak.permissions.stage import Stage
from local.soak.permissions.stream_stage import StreamStage
from local.testing.uploaders import uploader
from uploads.upload_items import item_id

UploadScenario = Callable[[Stage], Generator[Journey | None, None, None]]
Steps = Generator[Journey | None, None, None]

_IDENTITY, _JOBS_QUEUE = "soaked", "JobsQueue"
_RECORD_QUEUE, _CLEAN_UP_QUEUE = "RecordUploadDeadLetterQueue", "CleanUpDeadLetterQueue"


def an_upload(stage: Stage) -> Steps:
    """Somebody uploads an object, which a worker is told of."""
    streams, uploader = StreamStage(stage), _uploader(stage)
    where, came = _place(streams), list[object]()
    upload = item_id(where["Bucket"], where["Key"])
    yield None

    def put() -> object:
        return uploader.put_object(**where, Body=b"{}\n")

    def has_come() -> bool:
        if not came and streams.streams.take(_JOBS_QUEUE, lambda message: message["key"]["id"] == upload):
            came.append(upload)
        return bool(came)

    def send_again() -> None:
        # Lambda has three tries within seconds; what fails in them all is redriven
        stage.wait_until(lambda: has_come() or streams.streams.messages(_RECORD_QUEUE))
        if not came:
            DeadLetters(stage).redrive(_RECORD_QUEUE)

    told = _told(put)
    yield Journey(has_come, told, again=put if told else send_again)


def an_upload_that_is_broken_off(stage: Stage) -> Steps:
    """Somebody gives up an object that was begun in parts."""
    streams, uploader = StreamStage(stage), _uploader(stage)
    where = _place(streams)
    begun = {**where, "UploadId": uploader.create_multipart_upload(**where)["UploadId"]}
    yield None
    told = _told(lambda: uploader.abort_multipart_upload(**begun))
    yield Journey(
        lambda: _told(lambda: stage.client("s3").list_parts(**begun)),
        told=told,
        again=lambda: uploader.abort_multipart_upload(**begun),
    )


def an_upload_that_cannot_be_recorded(stage: Stage) -> Steps:
    """The function that records uploads dies of one: Lambda keeps what it was told."""
    streams = StreamStage(stage)
    where, s3 = _place(streams), stage.client("s3")
    with streams.dying("RecordUpload"):
        yield None
        s3.put_object(**where, Body=b"{}\n")
        yield Journey(
            lambda: streams.streams.messages(_RECORD_QUEUE),
            again=lambda: s3.put_object(**where, Body=b"{}\n"),
        )


def a_cleaning_that_dies(stage: Stage) -> Steps:
    """The function that cleans up dies of what it was given: Lambda keeps that."""
    streams, functions = StreamStage(stage), stage.client("lambda")
    asked = {
        "FunctionName": stage.functions()["CleanUpFailedRunFunction"],
        "InvocationType": "Event",
        "Payload": json.dumps({"executionArn": f"erase:{streams.id}"}).encode(),
    }
    with streams.dying("CleanUpFailedRun"):
        yield None
        functions.invoke(**asked)
        yield Journey(
            lambda: streams.streams.messages(_CLEAN_UP_QUEUE), again=lambda: functions.invoke(**asked)
        )


def a_job_that_is_done(stage: Stage) -> Steps:
    """All tests of a job are done: a note is written."""
    streams = StreamStage(stage)
    yield None
    _finish_job(streams, streams.id)
    yield Journey(lambda: streams.kept("transitions/"))


def a_job_that_cannot_be_looked_at(stage: Stage) -> Steps:
    """The function that detects transitions dies of a job: Lambda keeps the batch."""
    streams = StreamStage(stage)
    with streams.impatient_reader("DetectTransitionsFunction"), streams.dying("DetectTransitions"):
        yield None
        _finish_job(streams, streams.id)
        yield Journey(
            lambda: streams.kept("aws/lambda/"), again=lambda: _finish_job(streams, f"{streams.id}-again")
        )


def _finish_job(streams: StreamStage, job: str) -> None:
    texts = {"id": job, "itemType": "Job", "phase": "TESTS_COMPLETE"}
    streams.streams.put("JobsTableName", {name: {"S": text} for name, text in texts.items()})


def _place(streams: StreamStage) -> dict[str, str]:
    bucket = streams.stage.outputs["UploadsBucketName"]
    return {"Bucket": bucket, "Key": f"uploads/{_IDENTITY}/{streams.id}.ndjson"}


def _uploader(stage: Stage) -> Any:
    """S3 for a session of the role of those who upload."""
    return uploader(stage.account, stage.outputs["UploaderRoleArn"], {"identity": _IDENTITY})


def _told(call: Callable[[], object]) -> str:
    """What a call is refused with, nothing if it is not."""
    try:
        call()
    except ClientError as refusal:
        return str(refusal)
    return ""


UPLOAD_SCENARIOS: Mapping[str, UploadScenario] = {
    "an upload": an_upload,
    "an upload that is broken off": an_upload_that_is_broken_off,
    "an upload that cannot be recorded": an_upload_that_cannot_be_recorded,
    "a cleaning that dies": a_cleaning_that_dies,
    "a job that is done": a_job_that_is_done,
    "a job that cannot be looked at": a_job_that_cannot_be_looked_at,
}
