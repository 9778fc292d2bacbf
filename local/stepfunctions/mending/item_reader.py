"""Mends what a map says when its items cannot be read: States.ItemReaderFailed instead of States.Runtime.

AWS documentation: "Handling errors in Step Functions workflows" (States.ItemReaderFailed), "ItemReader
(Map)".
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import HistoryEventType, MapRunFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import StatesErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name_type import (
    StatesErrorNameType,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.item_reader.item_reader_decl import (
    ItemReader,
)
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails

from local.stepfunctions.patching import original, replace


def _read(self: Any, env: Any) -> None:
    try:
        original(ItemReader, "_eval_body")(self, env)
    except ClientError as refusal:
        raise _failed(env, refusal.response["Error"].get("Message", "")) from None
    except (ValueError, KeyError):
        raise _failed(env, "The items could not be read from the object") from None


def _failed(env: Any, cause: str) -> FailureEventException:
    name = StatesErrorNameType.StatesItemReaderFailed
    details = MapRunFailedEventDetails(error=name.to_name(), cause=cause)
    return FailureEventException(
        failure_event=FailureEvent(
            env=env,
            error_name=StatesErrorName(typ=name),
            event_type=HistoryEventType.MapRunFailed,
            event_details=EventDetails(mapRunFailedEventDetails=details),
        )
    )


def install() -> None:
    """Put the mended behaviour in place."""
    replace(ItemReader, "_eval_body", _read)
