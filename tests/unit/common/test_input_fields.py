"""Fields of an input, given rightly and wrongly."""

from __future__ import annotations

from typing import Any

import pytest

from common.errors import InvalidInput
from common.input_fields import flag_field, name_field, number_field, require_known_fields


def test_a_field_that_is_not_given_has_its_default() -> None:
    assert flag_field("f", None) is False
    assert name_field("f", None) == "unknown"
    assert number_field("f", None, 1, 2) is None


def test_what_is_given_rightly_is_returned() -> None:
    assert flag_field("f", True) is True
    assert name_field("f", "on call/pager 2") == "on call/pager 2"
    assert [number_field("f", value, 1, 500) for value in (1, 500)] == [1, 500]
    assert require_known_fields({"a": 1}, ("a", "b")) == {"a": 1}


@pytest.mark.parametrize("value", [0, 501, True, 1.5, "7", []])
def test_a_number_out_of_its_range_or_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="'rate' must be a whole number from 1 to 500"):
        number_field("rate", value, 1, 500)


@pytest.mark.parametrize("request_", [None, [], "text", 1])
def test_an_input_that_is_no_object_is_refused(request_: Any) -> None:
    with pytest.raises(InvalidInput, match="JSON object"):
        require_known_fields(request_, ())
