"""Error and cause of a failure, as a person reads them."""

from __future__ import annotations

import json

from healthlake_export.failure_reason import failure_reason


def test_only_the_message_of_a_functions_error_is_taken() -> None:
    cause = json.dumps(
        {"errorMessage": "Range 3 is short.", "errorType": "ReconciliationFailed", "stackTrace": ["line"]}
    )

    reason = failure_reason({"Error": "ReconciliationFailed", "Cause": cause})

    assert (reason.error, reason.cause) == ("ReconciliationFailed", "Range 3 is short.")


def test_an_error_of_step_functions_is_explained_and_loses_its_reserved_prefix() -> None:
    reason = failure_reason({"Error": "States.HeartbeatTimeout", "Cause": ""})

    assert reason.error == "HeartbeatTimeout"
    assert "check" in reason.cause


def test_a_plain_cause_is_kept() -> None:
    assert failure_reason({"Error": "Odd", "Cause": "in plain words"}).cause == "in plain words"


def test_what_somebody_says_who_stops_an_execution_is_kept() -> None:
    assert failure_reason({"Error": "ABORTED"}).cause == "The execution was stopped."
    stopped = failure_reason({"Error": "ABORTED", "Cause": "maintenance"})
    assert stopped.cause == "The execution was stopped. maintenance"


def test_a_failure_without_a_cause_still_says_so() -> None:
    reason = failure_reason({})

    assert (reason.error, reason.cause) == ("Unknown", "No cause was given.")


def test_a_long_cause_is_cut() -> None:
    assert len(failure_reason({"Error": "Odd", "Cause": "x" * 50_000}).cause) == 2_000


def test_a_detail_stands_before_the_cause_and_the_whole_stays_bounded() -> None:
    reason = failure_reason({"Error": "Odd", "Cause": "in plain words"})

    assert reason.with_detail("Byte range 3: gone.").cause == "Byte range 3: gone. in plain words"
    assert reason.with_detail(None) == reason
    assert len(reason.with_detail("x" * 50_000).cause) == 2_000
