"""Failures as moto raises them in an execution, made where the mended parts find that something is wrong."""

from __future__ import annotations

from typing import Any

from moto.stepfunctions.parser.api import (
    HistoryEventType,
    MapRunFailedEventDetails,
    TaskFailedEventDetails,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails


def map_run_failure(env: Any, error: str, cause: str) -> FailureEventException:
    """What a map run fails its state with; `error` is one of Step Functions' own names."""
    details = EventDetails(mapRunFailedEventDetails=MapRunFailedEventDetails(error=error, cause=cause))
    return _failure(env, error, HistoryEventType.MapRunFailed, details)


def task_failure(env: Any, error: str, cause: str) -> FailureEventException:
    """What a task fails its state with; `error` is one of Step Functions' own."""
    details = EventDetails(taskFailedEventDetails=TaskFailedEventDetails(error=error, cause=cause))
    return _failure(env, error, HistoryEventType.TaskFailed, details)


def _failure(
    env: Any, error: str, event_type: HistoryEventType, details: EventDetails
) -> FailureEventException:
    return FailureEventException(
        failure_event=FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=StatesErrorNameType.from_name(error)),
            event_type=event_type,
            event_details=details,
        )
    )
