"""One place for logger, metrics and tracer, and the frame that every handler runs in.

Log lines carry ids, counts and reasons, never an event, a request or a resource.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import AwsCallFailed, HubError, UnexpectedError
from common.quiet_traces import QuietEmitter
from common.refusals import describe_refusal

NAMESPACE = "HealthLakeHub"

Handler = Callable[[Any, LambdaContext], Any]


@cache
def logger() -> Logger:
    """The JSON logger; its level is POWERTOOLS_LOG_LEVEL, its service POWERTOOLS_SERVICE_NAME."""
    return Logger()


@cache
def metrics() -> Metrics:
    """Metrics in CloudWatch's embedded metric format, written with the log."""
    return Metrics(namespace=NAMESPACE)


@cache
def tracer() -> Tracer:
    """X-Ray tracing of AWS calls. Only botocore is patched: it makes every call of the hub, and patching
    all modules that the SDK knows imports them. Nothing is captured from responses or messages of
    exceptions, since both may carry resource content."""
    made = Tracer(patch_modules=["botocore"])
    if not made.disabled:
        from aws_xray_sdk.core import xray_recorder  # in a layer, and only where it traces

        xray_recorder.emitter = QuietEmitter(xray_recorder.emitter)
    return made


def count(**counts: int) -> None:
    """Add counts to the metrics that the handler writes when it ends."""
    for name, number in counts.items():
        metrics().add_metric(name=name, unit=MetricUnit.Count, value=number)


def write_counts() -> None:
    """Write the metrics that were added so far, for what must be told although the function may be killed."""
    if metrics().metric_set:
        metrics().flush_metrics()


def measure_seconds(**durations: int) -> None:
    """Add durations in seconds to the metrics that the handler writes when it ends."""
    for name, seconds in durations.items():
        metrics().add_metric(name=name, unit=MetricUnit.Seconds, value=seconds)


def lambda_entry(handler: Handler) -> Handler:
    """Frame a handler: ids on every log line, metrics written, and only errors of the hub let out.

    Returns the handler with the same signature. It raises what the handler raises when that is a
    `HubError`; `AwsCallFailed` for an AWS call that failed; `UnexpectedError` for anything else, whose
    own text stays behind because it may quote what was being processed.
    """

    @wraps(handler)
    def framed(event: Any, context: LambdaContext) -> Any:
        log = logger()
        log.append_keys(function=context.function_name, function_request_id=context.aws_request_id)
        if _traces():
            tracer()
        try:
            return handler(event, context)
        except Exception as error:
            failure = presentable(error)
        finally:
            write_counts()
        raise failure

    return framed


def presentable(error: Exception) -> HubError:
    """Log an error and return what may be shown of it: itself, if it is one of the hub's own."""
    if isinstance(error, HubError):
        tell = logger().info if error.routine else logger().error
        tell("refused", error=type(error).__name__, reason=str(error))
        return error
    if isinstance(error, ClientError | BotoCoreError):
        failure: HubError = AwsCallFailed(_describe_aws_failure(error))
    else:
        failure = UnexpectedError(f"{_module_of(error)} failed with {type(error).__name__}; see the log.")
    logger().error(
        "failed",
        error=type(failure).__name__,
        reason=str(failure),
        kind=type(error).__name__,
        frames=_frames(error),
    )
    return failure


def _module_of(error: Exception) -> str:
    """The file in which the error came up."""
    frames = traceback.extract_tb(error.__traceback__)
    return frames[-1].filename.rsplit("/", 1)[-1] if frames else "The function"


def _describe_aws_failure(error: ClientError | BotoCoreError) -> str:
    """Operation, error code and missing action, which name no content; the service's own message may."""
    if isinstance(error, ClientError):
        return describe_refusal(error)
    return f"An AWS call failed with {type(error).__name__}."


def _frames(error: BaseException) -> list[str]:
    """Where an exception came from: file, line and function of each frame, without any value."""
    return [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
    ]


def _traces() -> bool:
    """Whether tracing is on. Asked before the tracer is made, since making one imports the X-Ray SDK,
    which a start without tracing need not pay for (`make bench`)."""
    return os.environ.get("POWERTOOLS_TRACE_DISABLED", "").lower() != "true"
