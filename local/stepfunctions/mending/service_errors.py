"""Mends the error names of service tasks: AWS's names, whatever the service refuses with.

moto knows few of them, reports every SQS refusal as SQS.SdkClientException, and others as States.Runtime. A
refusal that the service's model names keeps its name; any other has the name of the SDK's base exception,
and its code is in the cause. Optimized integrations speak the names of the Java SDK 1, aws-sdk integrations
those of 2.
AWS documentation: "Handling errors in Step Functions workflows", "Learning to use AWS service SDK
integrations".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from moto.stepfunctions.parser.api import HistoryEventType, TaskFailedEventDetails
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import CustomErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (
    StateTaskService,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (  # noqa: E501
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_dynamodb import (  # noqa: E501
    StateTaskServiceDynamoDB,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_events import (
    StateTaskServiceEvents,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import (
    StateTaskServiceLambda,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sfn import (
    StateTaskServiceSfn,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sns import (
    StateTaskServiceSns,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_sqs import (
    StateTaskServiceSqs,
)

from local.stepfunctions.mending.lambda_errors import UNKNOWN, is_untyped
from local.stepfunctions.patching import add_method, original, replace


@dataclass(frozen=True)
class ErrorNames:
    """How an integration names the errors of its service: `prefix.NamedException`, else `prefix.base`."""

    prefix: str
    base: str
    service: str


OPTIMIZED: dict[type, ErrorNames] = {
    StateTaskServiceDynamoDB: ErrorNames("DynamoDB", "AmazonDynamoDBException", "AmazonDynamoDBv2"),
    StateTaskServiceEvents: ErrorNames("EventBridge", "AmazonEventBridgeException", "AmazonEventBridge"),
    StateTaskServiceLambda: ErrorNames("Lambda", "AWSLambdaException", "AWSLambda"),
    StateTaskServiceSfn: ErrorNames("StepFunctions", "AWSStepFunctionsException", "AWSStepFunctions"),
    StateTaskServiceSns: ErrorNames("SNS", "AmazonSNSException", "AmazonSNS"),
    StateTaskServiceSqs: ErrorNames("SQS", "AmazonSQSException", "AmazonSQS"),
}
_SDK_PREFIXES = {
    "cloudwatch": "CloudWatch",
    "cloudwatchlogs": "CloudWatchLogs",
    "cognitoidentityprovider": "CognitoIdentityProvider",
    "dynamodb": "DynamoDb",
    "eventbridge": "EventBridge",
    "healthlake": "HealthLake",
    "secretsmanager": "SecretsManager",
}


def sdk_error_names(api_name: str) -> ErrorNames:
    """The names of an aws-sdk integration: `Sqs`, `S3`, `DynamoDb` and so on."""
    prefix = _SDK_PREFIXES.get(api_name.lower(), api_name[:1].upper() + api_name[1:].lower())
    return ErrorNames(prefix, f"{prefix}Exception", prefix)


def error_of(refusal: ClientError, names: ErrorNames) -> str:
    """The error name that Retry and Catch see."""
    shape = type(refusal).__name__
    if shape == "ClientError":
        return f"{names.prefix}.{names.base}"
    return f"{names.prefix}.{shape}" + ("" if shape.endswith("Exception") else "Exception")


def client_error_of(failure: BotoCoreError, names: ErrorNames) -> str:
    """The error name of a call that got no answer: that of the SDK's client, for Lambda also its timeout."""
    if names.prefix == "Lambda" and isinstance(failure, ReadTimeoutError):
        return "Lambda.ClientExecutionTimeoutException"
    return f"{names.prefix}.SdkClientException"


def cause_of(refusal: ClientError, names: ErrorNames, separator: str) -> str:
    """The service's message, with what AWS puts in brackets behind it."""
    error = refusal.response.get("Error", {})
    metadata = refusal.response.get("ResponseMetadata", {})
    details = [f"Service: {names.service}", f"Status Code: {metadata.get('HTTPStatusCode', 400)}"]
    if separator == "; ":
        details.append(f"Error Code: {error.get('Code', '')}")
    details.append(f"Request ID: {metadata.get('RequestId', '')}")
    if separator == "; ":
        details.append("Proxy: null")
    return f"{error.get('Message', '')} ({separator.join(details)})"


def _failure(task: Any, env: Any, error: str, cause: str) -> FailureEvent:
    return FailureEvent(
        env=env,
        error_name=CustomErrorName(error_name=error),
        event_type=HistoryEventType.TaskFailed,
        event_details={
            "taskFailedEventDetails": TaskFailedEventDetails(
                error=error,
                cause=cause,
                resource=task._get_sfn_resource(),
                resourceType=task._get_sfn_resource_type(),
            )
        },
    )


def _naming(task_type: type, shipped: Any) -> Any:
    def from_error(self: Any, env: Any, ex: Exception) -> Any:
        sdk = isinstance(self, StateTaskServiceAwsSdk)
        names = sdk_error_names(self.resource.api_name) if sdk else OPTIMIZED[task_type]
        if isinstance(ex, ClientError):
            cause = cause_of(ex, names, ", " if sdk else "; ")
            return _failure(self, env, error_of(ex, names), cause)
        if isinstance(ex, BotoCoreError):
            return _failure(self, env, client_error_of(ex, names), type(ex).__name__)
        if is_untyped(ex):
            return _failure(self, env, UNKNOWN, ex.payload)  # type: ignore[attr-defined]
        return shipped(self, env=env, ex=ex)

    return from_error


def install() -> None:
    """Put the mended behaviour in place."""
    # Failures that are no refusals of DynamoDB (a timeout, a bad path) are the engine's own again.
    shipped = {StateTaskServiceDynamoDB: StateTaskService}
    for task_type in (*OPTIMIZED, StateTaskServiceAwsSdk):
        owner = shipped.get(task_type, task_type)
        if "_from_error" in vars(owner):
            handler = original(owner, "_from_error")
        else:
            handler = (
                StateTaskService._from_error
                if owner is StateTaskService
                else (StateTaskServiceCallback._from_error)
            )
        from_error = _naming(task_type, handler)
        if "_from_error" in vars(task_type):
            replace(task_type, "_from_error", from_error)
        else:
            add_method(task_type, "_from_error", from_error)
