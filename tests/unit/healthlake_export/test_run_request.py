"""What an execution may be asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from common.errors import InvalidInput
from healthlake_export import fhir_r4
from healthlake_export.run_request import RunRequest, parse_run_request
from local.healthlake import resource_types


def test_nothing_asked_is_everything_changed_since_the_watermark() -> None:
    assert parse_run_request({}) == RunRequest()
    assert not parse_run_request({}).is_replay


def test_a_window_and_types_are_taken_in_utc() -> None:
    request = parse_run_request(
        {
            "types": ["Patient", "Patient"],
            "since": "2026-01-31T01:00:00+01:00",
            "until": "2026-02-01T00:00:00Z",
        }
    )

    assert request.types == ("Patient",)
    assert request.since == datetime(2026, 1, 31, tzinfo=UTC)
    assert request.until == datetime(2026, 2, 1, tzinfo=UTC)
    assert request.is_replay


def test_a_full_run_of_everything_is_no_replay() -> None:
    assert not parse_run_request({"full": True}).is_replay


def test_who_starts_a_run_is_kept_and_the_schedule_is_known() -> None:
    assert parse_run_request({"startedBy": "on call/pager 2"}).started_by == "on call/pager 2"
    assert parse_run_request({}).started_by == "unknown"
    assert parse_run_request({"startedBy": "schedule"}).is_scheduled


def test_errors_are_accepted_only_where_that_is_said() -> None:
    assert parse_run_request({"acceptErrors": True}).accept_errors
    assert not parse_run_request({}).accept_errors


def test_a_full_run_of_some_types_is_a_replay() -> None:
    assert parse_run_request({"full": True, "types": ["Patient"]}).is_replay


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ([], "JSON object"),
        (None, "JSON object"),
        ({"type": ["Patient"]}, "'type'"),
        ({"types": "Patient"}, "'types'"),
        ({"types": []}, "'types'"),
        ({"types": ["patient"]}, "'types'"),
        ({"types": ["Patient", 3]}, "'types'"),
        ({"types": ["Patient", "Nonsense"]}, "'Nonsense'"),
        ({"types": ["Resource"]}, "'Resource'"),
        ({"since": "0001-01-01T00:00:00+14:00"}, "'since'"),
        ({"until": "9999-12-31T23:59:59-14:00"}, "'until'"),
        ({"since": "yesterday"}, "'since'"),
        ({"startedBy": ""}, "'startedBy'"),
        ({"startedBy": "x" * 65}, "'startedBy'"),
        ({"startedBy": "a\nb"}, "'startedBy'"),
        ({"startedBy": 7}, "'startedBy'"),
        ({"acceptErrors": "yes"}, "'acceptErrors'"),
        ({"acceptErrors": True, "types": ["Patient"]}, "choose one"),
        ({"since": "2026-01-31T00:00:00"}, "'since'"),
        ({"until": 1767139200}, "'until'"),
        ({"full": "true"}, "'full'"),
        ({"full": True, "since": "2026-01-31T00:00:00Z"}, "'full'"),
        ({"since": "2026-02-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}, "'until'"),
    ],
)
def test_a_wrong_input_is_refused_by_the_name_of_its_field(request_: Any, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        parse_run_request(request_)


def test_a_long_field_name_is_not_repeated_whole() -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_run_request({"x" * 40_000: 1})

    assert len(str(refusal.value)) < 200


def test_the_types_are_those_that_the_local_healthlake_knows() -> None:
    assert fhir_r4.RESOURCE_TYPES == resource_types.RESOURCE_TYPES
