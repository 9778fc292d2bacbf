"""Lambda's interpreter for benchmarks, with what functions find there: their own modules, the packages of
their artifact, and their layers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.account.host import architecture, python_runtime
from local.testing.bare_runtime import bare_runtime, link_packages

ROOT = Path(__file__).parents[1]

IN_ARTIFACTS = ("aws-lambda-powertools", "jmespath", "msgspec", "typing-extensions")
IN_TRACING_LAYER = ("aws-xray-sdk", "wrapt")
PARQUET_LAYER = "ParquetLayer"


@dataclass(frozen=True)
class Function:
    """A function of the template: its logical id, its handler, and whether it has the Parquet layer."""

    name: str
    handler: str
    writes_parquet: bool


def functions(template: Mapping[str, Any]) -> list[Function]:
    """Every function of the template."""
    return [
        Function(
            name,
            resource["Properties"]["Handler"],
            {"Ref": PARQUET_LAYER} in resource["Properties"].get("Layers", []),
        )
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    ]


@dataclass(frozen=True)
class Modules:
    """The folders of the functions' modules, of the packages of an artifact, and of the layers."""

    functions: Path
    packages: Path
    tracing: Path
    parquet: Path

    def path(self, function: Function) -> str:
        """Where the function's modules are found."""
        folders = [self.functions, self.packages, self.tracing]
        return os.pathsep.join(map(str, [*folders, self.parquet] if function.writes_parquet else folders))


@dataclass(frozen=True)
class Runtime:
    """An interpreter as in Lambda, the modules as they are compiled here, and as they are deployed."""

    python: Path
    compiled: Modules
    deployed: Modules


def make_runtime(folder: Path) -> Runtime:
    """Make all of it in an empty folder; raises CalledProcessError."""
    compiled = Modules(
        ROOT / "functions", folder / "artifact", folder / "tracing", folder / "parquet" / "python"
    )
    for path, names in ((compiled.packages, IN_ARTIFACTS), (compiled.tracing, IN_TRACING_LAYER)):
        path.mkdir()
        link_packages(path, names)
    _make_parquet_layer(compiled.parquet.parent)
    deployed = Modules(
        *(folder / "deployed" / name for name in ("functions", "artifact", "tracing", "parquet"))
    )
    for source, target in (
        (compiled.functions, deployed.functions),
        (compiled.packages, deployed.packages),
        (compiled.tracing, deployed.tracing),
        (compiled.parquet, deployed.parquet),
    ):
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    return Runtime(bare_runtime(folder / "runtime"), compiled, deployed)


def _make_parquet_layer(artifacts: Path) -> None:
    layer = ROOT / "layers" / "parquet"
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    make = shutil.which("make") or "make"
    subprocess.run(
        [make, "--silent", "--makefile", str(layer / "Makefile"), f"build-{PARQUET_LAYER}"],
        cwd=layer / "wheels" / f"{python_runtime()}-{architecture()}",
        env=os.environ | {"ARTIFACTS_DIR": str(artifacts), "PATH": tools},
        check=True,
    )
