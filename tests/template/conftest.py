"""The template, what SAM makes of it, and its state machines: read once, compared by the tests."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.cli.project import Project
from local.cli.sam import sam_environment
from local.testing.template_reader import Expanded, expand, read

ROOT = Path(__file__).parents[2]
_DEFINITION = ".asl.json"
STATE_MACHINES = sorted(
    path.name.removesuffix(_DEFINITION) for path in (ROOT / "statemachines").glob(f"*{_DEFINITION}")
)


@dataclass(frozen=True)
class DeployedMachine:
    """A state machine file with the resource of the template that deploys it."""

    resource: str
    file_text: str
    definition: Mapping[str, Any]
    substitutions: Mapping[str, Any]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def template_file() -> Path:
    return ROOT / "template.yaml"


@pytest.fixture(scope="session")
def _template(template_file: Path) -> dict[str, Any]:
    return read(template_file)


@pytest.fixture
def template(_template: dict[str, Any]) -> dict[str, Any]:
    """The template as written; a copy that a test may break."""
    return copy.deepcopy(_template)


@pytest.fixture
def expanded_from() -> Callable[[Mapping[str, Any]], Expanded]:
    """Expands a template as the SAM transform does."""
    return lambda document: expand(document, ROOT)


@pytest.fixture(scope="session")
def expanded(_template: dict[str, Any]) -> Expanded:
    """What CloudFormation gets: the template after the SAM transform."""
    return expand(_template, ROOT)


@pytest.fixture(params=STATE_MACHINES)
def machine(request: pytest.FixtureRequest, template: dict[str, Any]) -> DeployedMachine:
    """Each state machine file in turn, or the one that a test names."""
    path = ROOT / "statemachines" / f"{request.param}{_DEFINITION}"
    owners = {
        resource["Properties"]["DefinitionS3Location"]: name
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    }
    resource = owners[path.relative_to(ROOT).as_posix()]
    text = path.read_text(encoding="utf-8")
    substitutions = template["Resources"][resource]["Properties"]["DefinitionSubstitutions"]
    return DeployedMachine(resource, text, json.loads(text), substitutions)


@pytest.fixture(scope="session")
def sam_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the application in it and nothing else: what SAM writes stays below it."""
    folder = tmp_path_factory.mktemp("application")
    for part in ("functions", "layers", "statemachines", "workers"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "template.yaml", folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sam(sam_folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the SAM CLI in that folder, without the user's settings and with a home of its own."""
    environment = sam_environment(Project(sam_folder)) | {
        "HOME": str(sam_folder),
        "PIP_CACHE_DIR": str(ROOT / ".cache" / "pip"),
    }

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "samcli", *arguments],
            cwd=sam_folder,
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run
