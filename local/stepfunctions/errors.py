"""Refusals of the Step Functions API, under the names its reference lists."""

from __future__ import annotations


class StepFunctionsError(Exception):
    """A request that Step Functions refuses: the error code and the message a client sees."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def execution_does_not_exist(arn: str) -> StepFunctionsError:
    """The refusal of an execution ARN that names nothing."""
    return StepFunctionsError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")


def map_run_does_not_exist(arn: str) -> StepFunctionsError:
    """The refusal of a map run ARN that names nothing."""
    return StepFunctionsError("ResourceNotFound", f"Resource not found: '{arn}'")


def validation_error(message: str) -> StepFunctionsError:
    """The refusal of a parameter outside its documented bounds."""
    return StepFunctionsError("ValidationException", message)
