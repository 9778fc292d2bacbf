"""The Parquet layer for the processor that this machine has not: built here, loaded only there.

What can be said without running it is said: every library is for that processor, nothing that it is linked
to is missing, and with everything else of its function it is well within Lambda's limit.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from local.account.host import architecture, python_runtime
from local.testing.elf import shared_library

FOREIGN = {"arm64": "x86_64", "x86_64": "arm64"}[architecture()]
MEGABYTE = 1024 * 1024
# Lambda takes 250 MB: AWS documentation "Lambda quotas", deployment package size, unzipped, with layers.
LARGEST_TOGETHER = 150 * MEGABYTE
# What manylinux wheels may take for granted of every Linux (PEP 600), Lambda's included.
OF_THE_SYSTEM = re.compile(r"(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|ld-linux-.*)\.so\.\d")

Sam = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def foreign_build(sam: Sam, sam_folder: Path) -> Path:
    """What `sam build` makes of the function with the layer for the other architecture."""
    folder = sam_folder / "foreign"
    parameters = (f"PythonRuntime={python_runtime()}", f"Architecture={FOREIGN}")
    answer = sam(
        "build", "ProcessRangeFunction", "--build-dir", str(folder), "--parameter-overrides", *parameters
    )
    assert answer.returncode == 0, answer.stderr[-3000:]
    return folder


@pytest.fixture
def combinations(template: dict[str, Any]) -> set[str]:
    """Every runtime with every architecture that the template takes."""
    allowed = {
        name: template["Parameters"][name]["AllowedValues"] for name in ("PythonRuntime", "Architecture")
    }
    return {
        f"{runtime}-{machine}" for runtime in allowed["PythonRuntime"] for machine in allowed["Architecture"]
    }


def make_layer(folder: Path, artifacts: Path) -> subprocess.CompletedProcess[str]:
    """Build the layer as SAM does, with a folder of wheels/ as working directory."""
    return subprocess.run(
        ["make", "--makefile", str(folder.parents[1] / "Makefile"), "build-ParquetLayer"],
        cwd=folder,
        env=os.environ
        | {"ARTIFACTS_DIR": str(artifacts), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def contents(folder: Path) -> dict[str, str]:
    """A digest of every file."""
    return {
        path.relative_to(folder).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_library_is_for_the_architecture_that_was_asked_for(foreign_build: Path) -> None:
    libraries = list((foreign_build / "ProcessRangeFunction").rglob("*.so*"))
    libraries += list((foreign_build / "ParquetLayer").rglob("*.so*"))
    assert {shared_library(path).architecture for path in libraries} == {FOREIGN}
    assert {"libarrow.so", "libparquet.so"} <= {path.stem for path in libraries}


def test_every_library_finds_what_it_is_linked_to(foreign_build: Path) -> None:
    libraries = list((foreign_build / "ParquetLayer").rglob("*.so*"))
    present = {path.name for path in libraries}
    needed = {name for path in libraries for name in shared_library(path).needs}
    assert [name for name in needed - present if not OF_THE_SYSTEM.fullmatch(name)] == []
    assert {name for name in present if name.startswith("lib") and ".cpython" not in name} <= needed


def test_the_wheel_is_the_one_of_the_runtime(foreign_build: Path) -> None:
    version = python_runtime().removeprefix("python").replace(".", "")
    extensions = [path.name for path in (foreign_build / "ParquetLayer").rglob("*.cpython-*.so")]
    assert extensions
    assert all(f".cpython-{version}-" in name for name in extensions)


def test_function_and_layers_are_well_within_what_lambda_takes(foreign_build: Path) -> None:
    parts = ("ProcessRangeFunction", "TracingLayer", "ParquetLayer")
    sizes = {
        part: sum(path.stat().st_size for path in (foreign_build / part).rglob("*") if path.is_file())
        for part in parts
    }
    assert sum(sizes.values()) < LARGEST_TOGETHER, sizes


def test_every_runtime_and_architecture_of_the_template_has_its_wheel_named(
    root: Path, combinations: set[str]
) -> None:
    platforms = {"arm64": "aarch64", "x86_64": "x86_64"}
    folders = {path.name: path for path in (root / "layers" / "parquet" / "wheels").iterdir()}
    assert set(folders) == combinations
    for name, folder in folders.items():
        runtime, _, machine = name.partition("-")
        version = runtime.removeprefix("python")
        assert (folder / "pip-options").read_text().split() == [
            f"--python-version={version}",
            "--implementation=cp",
            f"--abi=cp{version.replace('.', '')}",
            f"--platform=manylinux_2_28_{platforms[machine]}",
        ]


def test_another_build_makes_the_same_layer(foreign_build: Path, sam_folder: Path, tmp_path: Path) -> None:
    """What has not changed is not deployed again."""
    wheel = sam_folder / "layers" / "parquet" / "wheels" / f"{python_runtime()}-{FOREIGN}"
    answer = make_layer(wheel, tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert contents(tmp_path) == contents(foreign_build / "ParquetLayer")


def test_a_layer_that_nobody_said_the_wheel_of_is_not_built(sam_folder: Path, tmp_path: Path) -> None:
    unknown = sam_folder / "layers" / "parquet" / "wheels" / "python2.7-sparc"
    unknown.mkdir()
    answer = make_layer(unknown, tmp_path)
    unknown.rmdir()
    assert answer.returncode != 0
    assert "There is no wheel for python2.7-sparc" in answer.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_that_does_not_exist_is_named(sam_folder: Path, tmp_path: Path) -> None:
    missing = sam_folder / "layers" / "parquet" / "wheels" / "python3.13-riscv"
    missing.mkdir()
    (missing / "pip-options").write_text("--implementation=cp --abi=cp313 --platform=manylinux_2_28_riscv64")
    answer = make_layer(missing, tmp_path)
    (missing / "pip-options").unlink()
    missing.rmdir()
    assert answer.returncode != 0
    assert "No wheel of layers/parquet/requirements.txt was installed for python3.13-riscv" in answer.stderr
