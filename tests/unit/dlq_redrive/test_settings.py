"""Settings of the redrive workflow."""

from __future__ import annotations

from datetime import timedelta

import pytest

from common.errors import InvalidSetting
from dlq_redrive.settings import RedriveSettings

SOUND = {
    "HUB_TABLE": "hub",
    "HUB_BUCKET": "bucket",
    "EVENT_BUS": "bus",
    "STACK_NAME": "hub-test",
    "MAX_REDRIVES": "3",
    "REDRIVE_MESSAGES_PER_SECOND": "50",
    "REDRIVE_COOL_DOWN_HOURS": "672",
    "QUARANTINE_DEAD_LETTERS_AFTER_DAYS": "10",
}


def test_sound_settings_are_read() -> None:
    settings = RedriveSettings.read(SOUND)
    assert (settings.stack, settings.max_redrives, settings.messages_per_second) == ("hub-test", 3, 50)
    assert (settings.cool_down, settings.quarantine_after) == (timedelta(days=28), timedelta(days=10))


@pytest.mark.parametrize("name", sorted(SOUND))
def test_a_missing_variable_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(InvalidSetting, match=f" {name} "):
        RedriveSettings.read({**SOUND, name: ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_REDRIVES", "0"),
        ("MAX_REDRIVES", "21"),
        ("REDRIVE_MESSAGES_PER_SECOND", "501"),
        ("REDRIVE_COOL_DOWN_HOURS", "0"),
        ("REDRIVE_COOL_DOWN_HOURS", "8761"),
        ("QUARANTINE_DEAD_LETTERS_AFTER_DAYS", "14"),
        ("STACK_NAME", "a stack"),
    ],
)
def test_a_value_out_of_its_range_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=name):
        RedriveSettings.read({**SOUND, name: value})
