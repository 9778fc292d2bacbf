"""Mends inline maps over many items: moto's workers call themselves for each item until Python refuses.

AWS documentation: "Using Map state in Inline mode".
"""

from __future__ import annotations

from typing import Any

from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.iteration_worker import (
    IterationWorker,
)

from local.stepfunctions.patching import original, replace


def _eval_pool(self: Any, job: Any, worker_frame: Any) -> None:
    while job is not None:
        frame = worker_frame.open_inner_frame()
        self._eval_job(env=frame, job=job)
        worker_frame.close_frame(frame)
        failed = isinstance(job.job_output, Exception) or self.stopped()
        following = None if failed else self._job_pool.next_job()
        if following is None:
            if not failed:
                last = frame.event_history_context.last_published_event_id
                worker_frame.event_history_context.source_event_id = last
            # The frame goes before the job: the map state waits for jobs, not for workers.
            self._env.close_frame(worker_frame)
            self._job_pool.close_job(job)
            return
        self._job_pool.close_job(job)
        job = following
    self._env.close_frame(worker_frame)


def install() -> None:
    """Put the mended behaviour in place."""
    original(IterationWorker, "_eval_job")
    replace(IterationWorker, "_eval_pool", _eval_pool)
