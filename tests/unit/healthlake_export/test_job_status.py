"""What each status of an export job means."""

from __future__ import annotations

import boto3
import pytest

from healthlake_export.job_status import JobOutcome, is_final, next_delay, outcome_of


def test_every_status_of_the_api_has_an_outcome() -> None:
    model = boto3.session.Session()._session.get_service_model("healthlake")
    for status in model.shape_for("JobStatus").metadata["enum"]:
        assert outcome_of(status) is not JobOutcome.UNKNOWN, status


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("QUEUED", JobOutcome.WAITING),
        ("IN_PROGRESS", JobOutcome.RUNNING),
        ("COMPLETED_WITH_ERRORS", JobOutcome.SUCCEEDED),
        ("CANCEL_COMPLETED", JobOutcome.FAILED),
        ("CANCEL_FAILED", JobOutcome.FAILED),
        ("PAUSED_BY_THE_MOON", JobOutcome.UNKNOWN),
    ],
)
def test_outcomes(status: str, outcome: JobOutcome) -> None:
    assert outcome_of(status) is outcome


def test_a_job_whose_cancellation_failed_can_still_be_cancelled() -> None:
    assert not is_final("CANCEL_FAILED")
    assert is_final("COMPLETED")


def test_delays_grow_from_the_first_to_the_longest_and_stay() -> None:
    delays = [0]
    for _ in range(12):
        delays.append(next_delay(delays[-1], first=15, longest=300))

    assert delays[1:4] == [15, 22, 33]
    assert delays[-1] == 300
    assert delays == sorted(delays)


def test_delays_grow_even_from_a_second() -> None:
    assert next_delay(1, first=1, longest=900) == 2
