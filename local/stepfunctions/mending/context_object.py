"""Mends the context object: times as AWS writes them, and the map item inside the tasks of an iteration.

moto writes EnteredTime with microseconds and an offset, and loses $$.Map in the frame a task is evaluated in.
AWS documentation: "Accessing execution data from the Context object in Step Functions".
"""

from __future__ import annotations

import datetime
from typing import Any

from moto.stepfunctions.parser.asl.component.state.state import CommonStateField
from moto.stepfunctions.parser.asl.eval.environment import Environment

from local.stepfunctions.patching import original, replace


def _eval_state_input(self: Any, env: Any) -> None:
    entered = datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="milliseconds")
    state = env.states.context_object.context_object_data["State"]
    state["EnteredTime"] = entered.replace("+00:00", "Z")
    original(CommonStateField, "_eval_state_input")(self, env)


def _open_frame(name: str) -> Any:
    def open_frame(self: Any, event_history_context: Any = None) -> Any:
        frame = original(Environment, name)(self, event_history_context)
        context = self.states.context_object.context_object_data
        if "Map" in context:
            frame.states.context_object.context_object_data.setdefault("Map", context["Map"])
        return frame

    return open_frame


def install() -> None:
    """Put the mended behaviour in place."""
    replace(CommonStateField, "_eval_state_input", _eval_state_input)
    for name in ("open_frame", "open_inner_frame"):
        replace(Environment, name, _open_frame(name))
