"""What is deployed can stand alone: artifact and layers on a machine that has only the Lambda runtime.

Handlers in the local account run with an interpreter that has all of the project's tools, which hides a
requirement that nobody declared. Here they are imported by one that has what the runtime ships and no more.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.account.host import architecture, python_runtime
from local.testing.bare_runtime import bare_runtime as make_bare_runtime

MEGABYTE = 1024 * 1024
LARGEST_ARTIFACT = 10 * MEGABYTE
LARGEST_TRACING_LAYER = 3 * MEGABYTE
LARGEST_TOGETHER = 150 * MEGABYTE
"""Lambda takes 250: AWS documentation "Lambda quotas", deployment package size, unzipped, with layers."""

IMPORT_AND_TELL = """
import importlib, json, sys
wanted = json.loads(sys.argv[1])
handlers = [getattr(importlib.import_module(module), name) for module, name in wanted["handlers"]]
found = [importlib.import_module(name) for name in wanted["modules"]]
from common.observability import tracer
tracer()
print(json.dumps({"path": sys.path, "handlers": len(handlers), "tracing": "aws_xray_sdk" in sys.modules}))
"""
WRITE_AND_READ = """
import io
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
moment = pa.timestamp("ms", "UTC")
schema = pa.schema({"id": pa.string(), "patient_ids": pa.list_(pa.string()), "last_updated": moment})
rows = [{"id": "b", "patient_ids": ["p", "q"], "last_updated": 1}, {"id": "a", "patient_ids": []}]
written = io.BytesIO()
with pq.ParquetWriter(written, schema, compression="zstd", write_page_index=True) as writer:
    writer.write_table(pa.Table.from_pylist(rows, schema))
table = pq.ParquetFile(io.BytesIO(written.getvalue())).read()
print(table.take(pc.sort_indices(table["id"]))["patient_ids"].to_pylist())
"""


@dataclass(frozen=True)
class BareRuntime:
    """An interpreter with the packages of the Lambda runtime and nothing else."""

    python: Path
    folder: Path

    def load(
        self, artifact: Path, layers: list[Path], handlers: list[str], modules: list[str]
    ) -> subprocess.CompletedProcess[str]:
        """Import handlers and modules as Lambda would, with the artifact first and its layers after it."""
        wanted = {"handlers": [one.rsplit(".", 1) for one in handlers], "modules": modules}
        return self.run([artifact, *layers], IMPORT_AND_TELL, json.dumps(wanted))

    def run(self, path: list[Path], program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program that finds its modules in the folders of `path`, the artifact's first."""
        return subprocess.run(
            # -s and -P: neither the user's packages nor the working directory.
            [str(self.python), "-s", "-P", "-B", "-c", program, *arguments],
            cwd=self.folder,
            env={
                "PYTHONPATH": os.pathsep.join(map(str, path)),
                "HOME": str(self.folder),
                "AWS_REGION": "us-east-1",
                "LAMBDA_TASK_ROOT": str(path[0]),
                "POWERTOOLS_TRACE_DISABLED": "false",
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def bare_runtime(tmp_path_factory: pytest.TempPathFactory) -> BareRuntime:
    folder = tmp_path_factory.mktemp("runtime")
    return BareRuntime(make_bare_runtime(folder / "venv"), folder)


@pytest.fixture(scope="module")
def build(sam: Callable[..., Any], sam_folder: Path) -> Path:
    """The folder that `sam build` makes, for the interpreter that runs the tests."""
    folder = sam_folder / "built"
    parameters = (f"PythonRuntime={python_runtime()}", f"Architecture={architecture()}")
    answer = sam("build", "--build-dir", str(folder), "--parameter-overrides", *parameters)
    assert answer.returncode == 0, answer.stderr[-3000:]
    return folder


@pytest.fixture
def handlers(template: dict[str, Any]) -> dict[str, str]:
    """The handler of every function."""
    return {
        name: one["Properties"]["Handler"]
        for name, one in template["Resources"].items()
        if one["Type"] == "AWS::Serverless::Function"
    }


@pytest.fixture
def layers(template: dict[str, Any], build: Path, handlers: dict[str, str]) -> dict[str, list[Path]]:
    """What the layers of each function add to its path, in their order."""
    shared = template["Globals"]["Function"]["Layers"]
    return {
        name: [
            build / one["Ref"] / "python"
            for one in shared + template["Resources"][name]["Properties"].get("Layers", [])
        ]
        for name in handlers
    }


def needed_modules(folder: Path, module: str) -> list[str]:
    """Every module that a module below a folder imports when it runs, inside functions and by others too."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += name.rpartition(".")[:1] if "." in name else []
        for path in (
            folder / f"{name.replace('.', '/')}.py",
            folder / name.replace(".", "/") / "__init__.py",
        ):
            if path.is_file():
                waiting += _imported(ast.parse(path.read_text(encoding="utf-8")), folder)
    return sorted(found)


def _imported(tree: ast.AST, folder: Path) -> Iterator[str]:
    """What a module imports by name; of `from package import name` also the name, where it is a module."""
    for node in _running(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            for name in (f"{node.module}.{alias.name}" for alias in node.names):
                if (folder / f"{name.replace('.', '/')}.py").is_file():
                    yield name


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """A tree's nodes without the bodies of `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _running(child)


def _size(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())


def test_every_handler_imports_from_its_artifact_and_layers_alone(
    build: Path,
    bare_runtime: BareRuntime,
    handlers: dict[str, str],
    layers: dict[str, list[Path]],
    root: Path,
) -> None:
    for name, handler in handlers.items():
        modules = needed_modules(root / "functions", handler.rpartition(".")[0])
        answer = bare_runtime.load(build / name, layers[name], [handler], modules)
        assert answer.returncode == 0, (name, answer.stderr)
        told = json.loads(answer.stdout)
        assert told["tracing"], name
        assert not [one for one in told["path"] if one.startswith(sys.prefix)], name


def test_the_parquet_layer_writes_and_reads_parquet(
    build: Path, bare_runtime: BareRuntime, layers: dict[str, list[Path]]
) -> None:
    answer = bare_runtime.run(
        [build / "ProcessRangeFunction", *layers["ProcessRangeFunction"]], WRITE_AND_READ
    )
    assert answer.stdout.strip() == "[[], ['p', 'q']]", answer.stderr


def test_only_the_function_that_writes_parquet_pays_for_its_layer(
    build: Path, layers: dict[str, list[Path]]
) -> None:
    parquet = build / "ParquetLayer" / "python"
    assert [name for name, paths in layers.items() if parquet in paths] == ["ProcessRangeFunction"]


def test_an_artifact_that_needs_a_package_of_the_laptop_is_found(
    build: Path, bare_runtime: BareRuntime, layers: dict[str, list[Path]], tmp_path: Path
) -> None:
    """`moto` is installed where the tests run, and nobody deploys it."""
    artifact = tmp_path / "artifact"
    shutil.copytree(build / "PlanRangesFunction", artifact)
    (artifact / "needy.py").write_text("import moto\n\n\ndef lambda_handler(event, context): ...\n")
    answer = bare_runtime.load(artifact, layers["PlanRangesFunction"], ["needy.lambda_handler"], [])
    assert answer.returncode != 0
    assert "No module named 'moto'" in answer.stderr


def test_a_handler_without_its_layer_is_found(
    build: Path, bare_runtime: BareRuntime, handlers: dict[str, str]
) -> None:
    answer = bare_runtime.load(build / "PlanRangesFunction", [], [handlers["PlanRangesFunction"]], [])
    assert answer.returncode != 0
    assert "No module named 'aws_xray_sdk'" in answer.stderr


def test_an_import_inside_a_function_and_by_a_module_of_ours_is_seen(tmp_path: Path) -> None:
    lines = [
        "from typing import TYPE_CHECKING",
        "if TYPE_CHECKING:",
        "    import stubs",
        "def late():",
        "    from package import inner",
    ]
    (tmp_path / "handler.py").write_text("\n".join(lines))
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "inner.py").write_text("import moto.core")
    (tmp_path / "package" / "other.py").write_text("import pyarrow")
    needed = ["handler", "moto", "moto.core", "package", "package.inner", "typing"]
    assert needed_modules(tmp_path, "handler") == needed


def test_artifacts_carry_the_code_and_what_it_declares(build: Path, handlers: dict[str, str]) -> None:
    """Neither the SDK, which the runtime has, nor anything that only tests need."""
    unwanted = {"boto3", "botocore", "s3transfer", "moto", "pytest", "tests", "local", "bin", "__pycache__"}
    for name in handlers:
        packages = {one.name for one in (build / name).iterdir()}
        assert {"common", "healthlake_export", "aws_lambda_powertools", "msgspec"} <= packages, name
        assert not packages & unwanted, name


def test_the_tracing_layer_carries_the_sdk_without_botocore(build: Path) -> None:
    packages = {one.name for one in (build / "TracingLayer" / "python").iterdir() if one.is_dir()}
    assert {one for one in packages if not one.endswith((".dist-info", "-stubs"))} == {
        "aws_xray_sdk",
        "wrapt",
    }


def test_every_function_with_its_layers_is_well_within_what_lambda_takes(
    build: Path, layers: dict[str, list[Path]]
) -> None:
    sizes = {name: _size(build / name) + sum(map(_size, found)) for name, found in layers.items()}
    assert max(sizes.values()) < LARGEST_TOGETHER, sizes


def test_artifacts_and_tracing_layer_stay_small(build: Path, handlers: dict[str, str]) -> None:
    sizes = {name: _size(build / name) for name in handlers}
    assert max(sizes.values()) < LARGEST_ARTIFACT, sizes
    assert _size(build / "TracingLayer") < LARGEST_TRACING_LAYER
