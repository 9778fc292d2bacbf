"""The job for an uploaded file: what is in it, as counts, a digest and FHIR resource types."""

from __future__ import annotations

from typing import Any

from hub_worker.commits import Effect, ItemChange
from hub_worker.jobs.contract import Work
from hub_worker.line_statistics import LineStatistics
from hub_worker.messages import JobMessage
from hub_worker.objects import RANGE_BYTES, UploadedObject, ranges

UPLOADED, PROCESSED, FAILED = "UPLOADED", "PROCESSED", "FAILED"
_IDENTIFYING = ("etag", "versionId", "sequencer")


class SummarizeUpload:
    """Reads the version of the object that the transition was about, whatever was uploaded since, and
    brings its item from UPLOADED to PROCESSED, or FAILED with the reason, unless something newer was
    uploaded or it was deleted.
    """

    def __init__(self, range_bytes: int = RANGE_BYTES) -> None:
        self._range_bytes = range_bytes

    def run(self, work: Work) -> Effect:
        message = work.message
        uploaded = UploadedObject(
            message.text("bucket"),
            message.text("key"),
            message.text("etag").strip('"'),
            message.optional("versionId"),
        )
        statistics = LineStatistics()
        for content in ranges(work.s3, uploaded, self._range_bytes):
            work.check()
            statistics.add(content)
        return Effect(statistics.result(), _change(message, {"phase": PROCESSED}))

    def failed(self, message: JobMessage, reason: str) -> ItemChange:
        return _change(message, {"phase": FAILED, "reason": reason})


def _change(message: JobMessage, values: dict[str, Any]) -> ItemChange:
    """The change of the upload's item, as long as it is about the same upload as the message."""
    carried = {name: value for name in _IDENTIFYING if (value := message.optional(name)) is not None}
    return ItemChange(message.item_id, {"phase": UPLOADED, **carried}, values)
