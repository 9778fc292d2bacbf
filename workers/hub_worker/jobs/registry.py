"""Which rule asks for which job. A rule whose output is the jobs queue needs its line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hub_worker.jobs.batch_items import BatchItems
from hub_worker.jobs.contract import Job
from hub_worker.jobs.summarize_upload import SummarizeUpload

JOBS: Mapping[str, Job] = MappingProxyType(
    {
        "upload-arrived": SummarizeUpload(),
        "tenth-item": BatchItems(),
    }
)
