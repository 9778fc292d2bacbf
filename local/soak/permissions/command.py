"""Takes permissions away, one after the other, in a local account of its own."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local.account import lifecycle
from local.account.clients import forget_foreign_settings
from local.account.settings import AccountSettings
from local.cli import stack
from local.cli.output import Output
from local.cli.project import Project
from local.cli.sam import Sam, local_environment
from local.soak.permissions.catalogue import scenario_of
from local.soak.permissions.grants import DeployedRoles, Grant, granted
from local.soak.permissions.removal import Removal, remove, settle
from local.soak.permissions.stage import Stage
from local.soak.permissions.stream_stage import StreamStage
from local.testing.template_reader import expand, read

# Retries of the state machine wait a hundredth of their time, checks come often, and a full run has more
# bytes than its bound on events, so that it counts them.
WAIT_SCALE = "0.01"
PARAMETERS = {"FirstCheckDelaySeconds": "1", "MaxCheckDelaySeconds": "2", "MaxEventsPerRun": "1"}


def take_permissions_away(output: Output, only: str = "") -> list[Removal]:
    """Each permission that a scenario shows, or those in which the pattern `only` is found."""
    project = Project()
    expanded = expand(read(project.template), project.root)
    grants = [one for one in granted(expanded) if scenario_of(one) and re.search(only, str(one))]
    with deployed_stage(project, output) as stage:
        iam, cloudformation = stage.client("iam"), stage.client("cloudformation")
        roles = DeployedRoles.of_stack(iam, cloudformation, stage.stack_name, expanded)
        if problem := settle(stage):
            output.bad(f"before anything was taken away, {problem}")
            return [Removal("none", "an ordinary run", "-", "-", 0.0, problem)]
        return list(_removals(stage, roles, grants, output))


def report(removals: Sequence[Removal], output: Output) -> dict[str, Any]:
    """Show what came of it and return it as a document."""
    problems = [one for one in removals if one.problem]
    shown = len(removals) - len(problems)
    output.line(f"{shown} of {len(removals)} permissions are missed by name when they are taken away.")
    return {"permissions": [asdict(one) for one in removals], "problems": len(problems)}


def _removals(
    stage: Stage, roles: DeployedRoles, grants: Sequence[Grant], output: Output
) -> Iterator[Removal]:
    for number, grant in enumerate(grants, start=1):
        removal = remove(stage, roles, grant)
        line = f"{number:>3}/{len(grants)} {removal.permission}: {removal.scenario}: {removal.status}, "
        line += f"named in the {removal.named_in} ({removal.seconds:.1f} s)"
        if removal.problem:
            output.bad(f"{line}: {removal.problem}")
        else:
            output.good(line)
        yield removal


@contextmanager
def deployed_stage(project: Project, output: Output) -> Iterator[Stage]:
    """The application in an account of its own, with policies enforced, stopped at the end."""
    forget_foreign_settings()
    os.environ["SFN_WAIT_SCALE"] = WAIT_SCALE
    os.environ.pop("PYTHONPATH", None)  # functions shall find what their artifacts hold
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        state_dir = Path(folder)
        sam = Sam(project, state_dir / "logs", PARAMETERS)
        try:
            with output.step("Build the application (sam build)") as step:
                sam.build(step.progress)
            with output.step("Start a local AWS account"):
                account = lifecycle.start(AccountSettings(port=0, state_dir=state_dir, auth=True))
            with output.step("Deploy it (sam deploy)") as step:
                sam.deploy(account, step.progress)
            name = local_environment(project.samconfig).stack_name
            stage = Stage(account, name, stack.outputs(account, name))
            StreamStage(stage).hasten()
            yield stage
        finally:
            lifecycle.stop(state_dir)
