"""The template is clean for cfn-lint and SAM, and checking it calls nobody."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from samcli.commands.build.command import cli as build_command
from samcli.commands.deploy.command import cli as deploy_command

from local.testing.noting_proxy import NotingProxy

Sam = Callable[..., subprocess.CompletedProcess[str]]

RUN_CFN_LINT = "import sys; from cfnlint.runner import main; sys.exit(main())"
COMMANDS = {"build": build_command, "deploy": deploy_command}


def lint(template_file: Path) -> subprocess.CompletedProcess[str]:
    """cfn-lint's answer on a template, in two regions with different services."""
    return subprocess.run(
        [sys.executable, "-c", RUN_CFN_LINT, "--regions", "us-east-1", "eu-west-2", "--", str(template_file)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def proxy() -> Iterator[NotingProxy]:
    with NotingProxy() as proxy:
        yield proxy


@pytest.fixture
def environments(root: Path) -> dict[str, Any]:
    """The environments of samconfig.toml."""
    settings = tomllib.loads((root / "samconfig.toml").read_text(encoding="utf-8"))
    assert settings.pop("version") == 0.1
    return settings


def test_cfn_lint_finds_nothing_in_the_template(template_file: Path) -> None:
    answer = lint(template_file)
    assert (answer.returncode, answer.stdout) == (0, "")


def test_cfn_lint_would_find_a_reference_to_nothing(template_file: Path, tmp_path: Path) -> None:
    broken = tmp_path / "template.yaml"
    broken.write_text(template_file.read_text(encoding="utf-8").replace("!Ref HubTable", "!Ref HubTables"))
    assert "HubTables" in lint(broken).stdout


def test_sam_finds_nothing_in_the_template_and_calls_nobody(sam: Sam, proxy: NotingProxy) -> None:
    """Neither telemetry nor a look for a newer version."""
    answer = sam("validate", "--lint", "--region", "us-east-1", **proxy.variables)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "is a valid SAM Template" in answer.stdout
    assert proxy.requests == []


def test_the_proxy_would_have_noticed_a_call(sam: Sam, proxy: NotingProxy) -> None:
    """SAM with its telemetry switched on, and sent to a host that does not exist."""
    nowhere = {"SAM_CLI_TELEMETRY": "1", "__SAM_CLI_TELEMETRY_ENDPOINT_URL": "http://telemetry.invalid/"}
    sam("validate", "--region", "us-east-1", **proxy.variables, **nowhere)
    assert "POST http://telemetry.invalid/ HTTP/1.1" in proxy.requests


def test_sam_would_find_a_function_without_a_handler(sam: Sam, sam_folder: Path) -> None:
    broken = sam_folder / "broken.yaml"
    written = (sam_folder / "template.yaml").read_text(encoding="utf-8")
    broken.write_text(written.replace("      Handler: healthlake_export.plan_ranges.lambda_handler\n", ""))
    answer = sam("validate", "--lint", "--region", "us-east-1", "--template-file", str(broken))
    assert answer.returncode != 0


def test_every_environment_is_there(environments: dict[str, Any]) -> None:
    assert set(environments) == {"default", "staging", "prod", "local"}


def test_environments_give_options_that_the_commands_have(environments: dict[str, Any]) -> None:
    for name, commands in environments.items():
        for command, settings in commands.items():
            options = {str(one.name) for one in COMMANDS[command].params}
            assert set(settings["parameters"]) <= options, (name, command)


def test_environments_name_parameters_that_exist_and_values_they_allow(
    environments: dict[str, Any], template: dict[str, Any]
) -> None:
    for name, commands in environments.items():
        overrides = commands["deploy"]["parameters"].get("parameter_overrides", "")
        for override in overrides.split():
            parameter, _, value = override.partition("=")
            declared = template["Parameters"][parameter]
            if "AllowedValues" in declared:
                assert value in [str(one) for one in declared["AllowedValues"]], (name, override)
            if "MinValue" in declared:
                assert declared["MinValue"] <= int(value) <= declared["MaxValue"], (name, override)


def test_no_two_environments_share_a_stack_on_aws(environments: dict[str, Any]) -> None:
    stacks = [
        commands["deploy"]["parameters"]["stack_name"]
        for name, commands in environments.items()
        if name != "local"
    ]
    assert len(set(stacks)) == len(stacks)


def test_production_asks_before_it_changes(environments: dict[str, Any]) -> None:
    assert environments["prod"]["deploy"]["parameters"]["confirm_changeset"] is True


def test_the_local_environment_starts_no_exports_by_itself(environments: dict[str, Any]) -> None:
    overrides = environments["local"]["deploy"]["parameters"]["parameter_overrides"].split()
    assert {"ScheduleState=DISABLED", "FullRunEvents=on"} <= set(overrides)
