"""The payloads with which Lambda answers for a function that failed.

AWS documentation: «Troubleshoot execution issues in Lambda», «Lambda function errors in Python»
(errorMessage, errorType, requestId, stackTrace), and the Python runtime interface client for the texts.
"""

from typing import Any

Payload = dict[str, Any]


def timed_out(request_id: str, seconds: float) -> Payload:
    """The function ran longer than its timeout, in seconds."""
    return {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds",
    }


def exited(request_id: str, status: int | None) -> Payload:
    """The runtime's process ended in the call: with a status, by a signal (negative), or unknown (None)."""
    if not status:
        reason = "Runtime exited without providing a reason"
    elif status < 0:
        reason = "Runtime exited with error: signal: killed"
    else:
        reason = f"Runtime exited with error: exit status {status}"
    return {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request_id} Error: {reason}"}
