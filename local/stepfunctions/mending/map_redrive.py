"""Lets a redriven execution go on with the map run in which it ended.

Children that succeeded keep their results; the others are redriven under their own ARNs, and items that had
no child yet get one. The items are those of the first attempt. A map run that never had children (its items
could not be read), or that failed for too large a result, is replaced by a new one.
AWS documentation: "Redriving Map Runs in Step Functions executions".
"""

from __future__ import annotations

import datetime
from typing import Any

from moto.stepfunctions.parser.api import (
    HistoryEventType,
    MapRunFailedEventDetails,
    MapRunRedrivenEventDetails,
    MapRunStatus,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEventException
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.distributed_iteration_component import (  # noqa: E501
    DistributedIterationComponent,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.state_map import StateMap
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from local.stepfunctions.mending import map_runs
from local.stepfunctions.mending.failures import map_run_failure
from local.stepfunctions.patching import original, replace
from local.stepfunctions.run_context import run_of

MOST_REDRIVES = 1000

_LONGEST_WIND_DOWN_SECONDS = 60.0


def redrive_counts(record: Any) -> dict[str, Any]:
    """How often and when last a map run was redriven, as DescribeMapRun says it."""
    date = getattr(record, "redrive_date", None)
    dates = {} if date is None else {"redriveDate": date.isoformat()}
    return {"redriveCount": getattr(record, "redrive_count", 0), **dates}


def _eval_execution(self: Any, env: Any) -> None:
    record = _interrupted_map_run(self, env)
    if record is None:
        original(StateMap, "_eval_execution")(self, env)
        return
    _note_redrive(env, record)
    _run_again(env, record)
    if self.result_writer:
        self.result_writer.eval(env)
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.MapStateSucceeded,
        update_source_event_id=False,
    )


def _interrupted_map_run(state: Any, env: Any) -> Any:
    if not isinstance(state.iteration_component, DistributedIterationComponent):
        return None
    if not run_of(env).take_resumption(state.name):
        return None
    # The map run whose state was not left has the name of the state in which the execution goes on.
    records = [r for r in env.map_run_record_pool_manager.get_all() if map_runs.state_of(r) == state.name]
    if not records:
        return None
    record = records[-1]
    # It may still be stopping its children.
    map_runs.stopped(record).wait(_LONGEST_WIND_DOWN_SECONDS)
    return record if record.status in (MapRunStatus.FAILED, MapRunStatus.ABORTED) else None


def _note_redrive(env: Any, record: Any) -> None:
    if getattr(record, "redrive_count", 0) >= MOST_REDRIVES:
        raise map_run_failure(env, "States.Runtime", "The Map Run has exceeded its redrives")
    record.redrive_count = getattr(record, "redrive_count", 0) + 1
    record.redrive_date = datetime.datetime.now(tz=datetime.UTC)
    record.status, record.stop_date = MapRunStatus.RUNNING, None
    map_runs.stopped(record).clear()
    details = MapRunRedrivenEventDetails(mapRunArn=record.map_run_arn, redriveCount=record.redrive_count)
    env.event_manager.add_event(
        context=env.event_history_context,
        event_type=HistoryEventType.MapRunRedriven,
        event_details=EventDetails(mapRunRedrivenEventDetails=details),
    )


def _run_again(env: Any, record: Any) -> None:
    try:
        map_runs.finish(env, record, record.map_run.again(env))
    except FailureEventException as failure:
        error, cause = failure.extract_error_cause_pair()
        details = MapRunFailedEventDetails(error=error, cause=cause)
        env.event_manager.add_event(
            context=env.event_history_context,
            event_type=HistoryEventType.MapRunFailed,
            event_details=EventDetails(mapRunFailedEventDetails=details),
        )
        record.set_stop(status=MapRunStatus.FAILED)
        raise
    env.event_manager.add_event(
        context=env.event_history_context, event_type=HistoryEventType.MapRunSucceeded
    )
    record.set_stop(status=MapRunStatus.SUCCEEDED)


def install() -> None:
    """Put the mended behaviour in place."""
    replace(StateMap, "_eval_execution", _eval_execution)
