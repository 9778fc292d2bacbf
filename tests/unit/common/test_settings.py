"""Reading of environment variables."""

from __future__ import annotations

import pytest

from common.errors import InvalidSetting
from common.settings import Environment

ENVIRONMENT = Environment(
    {"NAME": "  hub ", "BLANK": "   ", "NUMBER": " 42", "WORD": "forty", "SWITCH": "on"}
)


def test_a_text_comes_without_the_space_around_it() -> None:
    assert ENVIRONMENT.text("NAME") == "hub"


@pytest.mark.parametrize("name", ["BLANK", "MISSING"])
def test_a_text_that_is_missing_or_blank_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(InvalidSetting, match=f"The setting {name} is missing"):
        ENVIRONMENT.text(name)


@pytest.mark.parametrize(("minimum", "maximum"), [(42, 42), (0, 42), (42, 100)])
def test_the_bounds_of_a_number_belong_to_what_it_may_be(minimum: int, maximum: int) -> None:
    assert ENVIRONMENT.integer("NUMBER", minimum=minimum, maximum=maximum) == 42


@pytest.mark.parametrize(("minimum", "maximum"), [(43, 100), (0, 41)])
def test_a_number_outside_its_bounds_is_refused_with_both(minimum: int, maximum: int) -> None:
    message = f"The setting NUMBER is 42, but must be a whole number from {minimum} to {maximum}"
    with pytest.raises(InvalidSetting, match=message):
        ENVIRONMENT.integer("NUMBER", minimum=minimum, maximum=maximum)


def test_what_is_no_number_is_refused_without_the_error_of_the_conversion() -> None:
    with pytest.raises(InvalidSetting, match="The setting WORD is 'forty', but must be a whole") as caught:
        ENVIRONMENT.integer("WORD", minimum=0, maximum=9)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_choice_is_one_of_those_allowed() -> None:
    assert ENVIRONMENT.choice("SWITCH", "on", "off") == "on"
    with pytest.raises(InvalidSetting, match="The setting SWITCH is 'on', but must be one of yes, no"):
        ENVIRONMENT.choice("SWITCH", "yes", "no")


def test_a_value_has_to_match_its_pattern_as_a_whole() -> None:
    assert ENVIRONMENT.matching("NAME", r"[a-z]{3}", "three letters") == "hub"
    for pattern in (r"[a-z]{2}", r"u[a-z]"):
        with pytest.raises(InvalidSetting, match="The setting NAME is 'hub', but must be two letters"):
            ENVIRONMENT.matching("NAME", pattern, "two letters")
