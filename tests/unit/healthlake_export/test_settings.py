"""Settings of the export workflow."""

from __future__ import annotations

import pytest

from common.errors import InvalidSetting
from healthlake_export.settings import ExportSettings


@pytest.fixture
def variables() -> dict[str, str]:
    return {
        "HUB_TABLE": "table",
        "HUB_BUCKET": "bucket",
        "LAKE_BUCKET": "lake",
        "EVENT_BUS": "bus",
        "DATASTORE_ID": "0123456789abcdef0123456789abcdef",
        "DATA_ACCESS_ROLE_ARN": "arn:aws:iam::000000000000:role/data-access",
        "KMS_KEY_ARN": "arn:aws:kms:us-east-1:000000000000:key/k",
        "START_QUEUE_URL": "https://queue/start",
        "CHECK_QUEUE_URL": "https://queue/check",
        "OVERLAP_SECONDS": "120",
        "RANGE_SIZE_MEGABYTES": "64",
        "MAX_CONCURRENCY": "20",
        "MAX_INLINE_BYTES": "204800",
        "MAX_EVENTS_PER_RUN": "1000000",
        "CHANGE_EVENTS": "resource",
        "FULL_RUN_EVENTS": "off",
        "ON_EXPORT_ERRORS": "advance",
        "MAX_EXPORT_HOURS": "12",
        "FIRST_CHECK_DELAY_SECONDS": "15",
        "MAX_CHECK_DELAY_SECONDS": "300",
        "START_EXPIRY_SECONDS": "90",
    }


def test_units_are_bytes_and_seconds(variables: dict[str, str]) -> None:
    settings = ExportSettings.read(variables)

    assert settings.range_size == 64 * 1024 * 1024
    assert settings.max_export_seconds == 12 * 3600
    assert settings.change_events
    assert not settings.full_run_events
    assert not settings.hold_on_export_errors


def test_every_setting_is_required_and_named_when_it_is_missing(variables: dict[str, str]) -> None:
    for name in variables:
        without = {other: value for other, value in variables.items() if other != name}
        with pytest.raises(InvalidSetting, match=name):
            ExportSettings.read(without)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OVERLAP_SECONDS", "two minutes"),
        ("OVERLAP_SECONDS", "-1"),
        ("RANGE_SIZE_MEGABYTES", "0"),
        ("CHANGE_EVENTS", "all"),
        ("FULL_RUN_EVENTS", "true"),
        ("ON_EXPORT_ERRORS", "ignore"),
        ("MAX_CHECK_DELAY_SECONDS", "901"),
        ("HUB_TABLE", "  "),
        ("DATASTORE_ID", "my-datastore"),
        ("DATA_ACCESS_ROLE_ARN", "arn:aws:iam::000000000000:user/me"),
        ("KMS_KEY_ARN", "alias/hub"),
        ("START_QUEUE_URL", "start"),
        ("CHECK_QUEUE_URL", "arn:aws:sqs:us-east-1:000000000000:check"),
    ],
)
def test_a_malformed_setting_is_named(variables: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        ExportSettings.read({**variables, name: value})
