"""Mends the names of parameters and results of service tasks, and the form of times in results.

A definition writes `ExecutionArn` where the service model says `executionArn`; moto passes it on as it is,
gives results back under the model's names, and leaves datetime objects in the state's data.
AWS documentation: "Learning to use AWS service SDK integrations" (parameter and result names are in
PascalCase).
"""

from __future__ import annotations

import datetime
from typing import Any

import botocore.session
from botocore.model import OperationModel, Shape
from botocore.response import StreamingBody
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_sfn
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
    StateTaskService,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sqs import (
    StateTaskServiceSqs,
)
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

from local.stepfunctions.execution import iso_milliseconds
from local.stepfunctions.patching import original, replace

_BOTO_NAMES = {
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "eventbridge": "events",
    "sfn": "stepfunctions",
    "states": "stepfunctions",
}
_session = botocore.session.Session()
_models: dict[str, Any] = {}


def _operation(service: str, method: str) -> OperationModel | None:
    if service not in _models:
        _models[service] = _session.get_service_model(service)
    wanted = method.replace("_", "").lower()
    for name in _models[service].operation_names:
        if name.lower() == wanted:
            return _models[service].operation_model(name)  # type: ignore[no-any-return]
    return None


def to_request(value: Any, shape: Shape | None) -> Any:
    """Parameters under the names of the service model, structures turned into text where it wants text."""
    kind = getattr(shape, "type_name", None)
    if kind == "structure" and isinstance(value, dict):
        return {
            name: to_request(item, shape.members.get(name))  # type: ignore[union-attr]
            for name, item in ((_member(key, shape), item) for key, item in value.items())
        }
    if kind == "list" and isinstance(value, list):
        return [to_request(item, shape.member) for item in value]  # type: ignore[union-attr]
    if kind == "map" and isinstance(value, dict):
        return {key: to_request(item, shape.value) for key, item in value.items()}  # type: ignore[union-attr]
    if kind == "string" and value is not None and not isinstance(value, str):
        return to_json_str(value, separators=(",", ":"))
    if kind == "blob" and not isinstance(value, bytes):
        return (value if isinstance(value, str) else to_json_str(value, separators=(",", ":"))).encode()
    return value


def _member(key: str, shape: Any) -> str:
    if key in shape.members:
        return key
    return next((name for name in shape.members if name[:1].upper() + name[1:] == key), key)


def to_result(value: Any, shape: Shape | None) -> Any:
    """A result under PascalCase names, made of what JSON can hold."""
    kind = getattr(shape, "type_name", None)
    if isinstance(value, StreamingBody):
        return value.read().decode()
    if isinstance(value, datetime.datetime):
        return iso_milliseconds(value)
    if kind == "structure" and isinstance(value, dict):
        return {
            key[:1].upper() + key[1:]: to_result(item, shape.members.get(key))  # type: ignore[union-attr]
            for key, item in value.items()
        }
    if kind == "list" and isinstance(value, list):
        return [to_result(item, shape.member) for item in value]  # type: ignore[union-attr]
    if kind == "map" and isinstance(value, dict):
        return {key: to_result(item, shape.value) for key, item in value.items()}  # type: ignore[union-attr]
    return value


def _operation_of(task: Any, service: str | None, action: str | None) -> OperationModel | None:
    return _operation(task._get_boto_service_name(service), task._get_boto_service_action(action))


def _normalise_parameters(
    self: Any,
    parameters: dict[str, Any],
    boto_service_name: str | None = None,
    service_action_name: str | None = None,
) -> None:
    operation = _operation_of(self, boto_service_name, service_action_name)
    if operation is not None and operation.input_shape is not None:
        request = to_request(parameters, operation.input_shape)
        parameters.clear()
        parameters.update(request)


def _normalise_response(
    self: Any,
    response: Any,
    boto_service_name: str | None = None,
    service_action_name: str | None = None,
) -> None:
    operation = _operation_of(self, boto_service_name, service_action_name)
    if isinstance(response, dict) and operation is not None:
        result = to_result(response, operation.output_shape)
        response.clear()
        response.update(result)


def install() -> None:
    """Put the mended behaviour in place."""
    original(StateTaskService, "_SERVICE_NAME_SFN_TO_BOTO_OVERRIDES").update(_BOTO_NAMES)
    original(StateTaskServiceSqs, "_normalise_response")
    original(state_task_service_sfn, "StateTaskServiceSfn")
    replace(StateTaskService, "_normalise_parameters", _normalise_parameters)
    replace(StateTaskService, "_normalise_response", _normalise_response)
