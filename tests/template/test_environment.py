"""The variables that the template sets are those that the functions read, with the same limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from common.errors import InvalidSetting
from dlq_redrive.settings import RedriveSettings
from healthlake_export.settings import ExportSettings
from local.testing.mocked_hub import HubQueues, hub_environment

SOUND = hub_environment(HubQueues("https://queue/start", "https://queue/check"))
LIBRARY_PREFIX = "POWERTOOLS_"
ALLOCATION_PREFIXES = ("ARROW_", "MALLOC_")


class Recorded(dict[str, str]):
    """An environment that notes the names it is asked for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


@pytest.fixture
def variables(template: dict[str, Any]) -> dict[str, Any]:
    """What the template gives every function, the settings of Powertools left out."""
    every: dict[str, Any] = template["Globals"]["Function"]["Environment"]["Variables"]
    return {name: value for name, value in every.items() if not name.startswith(LIBRARY_PREFIX)}


@pytest.fixture
def parameters_by_variable(
    template: dict[str, Any], variables: dict[str, Any]
) -> dict[str, Mapping[str, Any]]:
    """The parameter behind every variable that is one."""
    return {
        name: template["Parameters"][value["Ref"]]
        for name, value in variables.items()
        if isinstance(value, dict) and value.get("Ref") in template["Parameters"]
    }


def _read(environment: Mapping[str, str]) -> None:
    """Everything that the functions of the two workflows read; raises InvalidSetting."""
    ExportSettings.read(environment)
    RedriveSettings.read(environment)


def _accepts(name: str, value: object) -> bool:
    try:
        _read({**SOUND, name: str(value)})
    except InvalidSetting:
        return False
    return True


def test_the_template_sets_what_the_functions_read_and_nothing_else(variables: dict[str, Any]) -> None:
    environment = Recorded(SOUND)
    _read(environment)
    assert environment.asked == set(variables)


def test_the_tests_run_with_the_variables_that_the_template_sets(variables: dict[str, Any]) -> None:
    assert set(SOUND) == set(variables)


def test_no_function_of_the_two_workflows_has_settings_of_its_own(template: dict[str, Any]) -> None:
    """The first state of a workflow checks what all of its functions read: that holds only while there is one
    environment. How memory is allocated is no setting of the hub."""
    own = [
        (name, variable)
        for name, one in template["Resources"].items()
        if str(one.get("Properties", {}).get("Handler")).startswith(("healthlake_export.", "dlq_redrive."))
        for variable in one["Properties"].get("Environment", {}).get("Variables", {})
    ]
    assert [one for one in own if not one[1].startswith(ALLOCATION_PREFIXES)] == []
    assert {name for name, _ in own} == {"ProcessRangeFunction"}


def test_the_tests_run_with_the_defaults_of_the_template_but_small_ranges(
    parameters_by_variable: dict[str, Mapping[str, Any]],
) -> None:
    different = {name for name, one in parameters_by_variable.items() if SOUND[name] != str(one["Default"])}
    assert different == {"RANGE_SIZE_MEGABYTES", "FULL_RUN_EVENTS"}


def test_every_number_has_the_limits_of_its_parameter(
    parameters_by_variable: dict[str, Mapping[str, Any]],
) -> None:
    numbers = {name: one for name, one in parameters_by_variable.items() if one["Type"] == "Number"}
    assert len(numbers) >= 7
    for name, one in numbers.items():
        accepted = [
            _accepts(name, value)
            for value in (one["MinValue"] - 1, one["MinValue"], one["MaxValue"], one["MaxValue"] + 1)
        ]
        assert accepted == [False, True, True, False], name


def test_every_choice_has_the_values_of_its_parameter(
    parameters_by_variable: dict[str, Mapping[str, Any]],
) -> None:
    choices = {name: one for name, one in parameters_by_variable.items() if "AllowedValues" in one}
    assert len(choices) >= 3
    for name, one in choices.items():
        assert all(_accepts(name, value) for value in one["AllowedValues"]), name
        for other in ("", "resources", "true", "none"):
            assert not _accepts(name, other), name


def test_what_the_template_writes_out_is_readable(variables: dict[str, Any]) -> None:
    literal = {name: value for name, value in variables.items() if isinstance(value, str)}
    assert literal
    assert all(_accepts(name, value) for name, value in literal.items())


@pytest.mark.parametrize("name", sorted(SOUND))
def test_a_missing_variable_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(InvalidSetting, match=f" {name} "):
        _read({**SOUND, name: ""})
