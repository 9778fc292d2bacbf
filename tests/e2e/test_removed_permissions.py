"""A permission of each kind is taken away from the deployed stack: the run fails, or what is on its way does
not arrive, the action is named, and with the permission back it arrives and the next run completes.

`make soak` does so with every permission that the local account can show. The local scheduler does not ask
IAM: what the schedule's role needs is required by a template test.
"""

from typing import TYPE_CHECKING

import pytest

from local.cli.project import Project
from local.soak.permissions.grants import DeployedRoles, Grant, granted
from local.soak.permissions.removal import remove
from local.soak.permissions.stage import Stage
from local.testing.template_reader import Expanded, expand, read

if TYPE_CHECKING:
    from tests.e2e.conftest import Hub


@pytest.fixture(scope="module")
def template() -> Expanded:
    project = Project()
    return expand(read(project.template), project.root)


@pytest.fixture
def stage(hub: "Hub") -> Stage:
    return Stage(hub.account, hub.stack_name, hub.outputs)


@pytest.fixture
def roles(stage: Stage, template: Expanded) -> DeployedRoles:
    iam, cloudformation = stage.client("iam"), stage.client("cloudformation")
    return DeployedRoles.of_stack(iam, cloudformation, stage.stack_name, template)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("StartExportFunctionRole dynamodb:UpdateItem", id="a statement of a function"),
        pytest.param(
            "StartExportFunctionRole sqs:SendMessage* on CheckExportQueue", id="a policy template of SAM"
        ),
        pytest.param("ExportStateMachineRole s3:GetObject", id="the state machine's role"),
        pytest.param("HealthLakeDataAccessRole s3:PutObject", id="the role that HealthLake writes with"),
        pytest.param("RedriveStateMachineRole sqs:StartMessageMoveTask", id="SQS called by a state machine"),
        pytest.param("RedriveMessagesFunctionRole sqs:SendMessage", id="a function that sends letters back"),
    ],
)
def test_without_a_permission_the_run_fails_and_names_the_action(
    stage: Stage, roles: DeployedRoles, template: Expanded, written: str
) -> None:
    (grant,) = _matching(template, written)

    removal = remove(stage, roles, grant)

    assert (removal.status, removal.named_in, removal.problem) == ("FAILED", "cause", None)


def test_without_a_permission_a_change_does_not_arrive_until_it_is_back(
    stage: Stage, roles: DeployedRoles, template: Expanded
) -> None:
    (grant,) = _matching(template, "RecordsPipeRole events:PutEvents")

    removal = remove(stage, roles, grant)

    assert (removal.status, removal.named_in, removal.problem) == ("HELD", "account's log", None)


def _matching(template: Expanded, written: str) -> list[Grant]:
    return [grant for grant in granted(template) if grant.matches(written)]
