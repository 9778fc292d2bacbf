"""An interpreter that has what Lambda's Python runtimes have and no more: no tool of the project hides that
something is missing, or makes a start slower than it is."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from importlib.metadata import files
from pathlib import Path

RUNTIME_PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "python-dateutil", "urllib3", "six")
"""The SDK and what it needs. AWS documentation: "Building Lambda functions with Python", runtime-included SDK
versions."""


def bare_runtime(folder: Path) -> Path:
    """Make the interpreter in an empty folder and return it."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site_packages,) = (folder / "lib").glob("python*/site-packages")
    link_packages(site_packages, RUNTIME_PACKAGES)
    return folder / "bin" / "python"


def link_packages(folder: Path, names: Iterable[str]) -> None:
    """Make installed packages importable from `folder`, with the byte code that they have."""
    installed = Path(sysconfig.get_path("purelib"))
    for name in names:
        for top in {one.parts[0] for one in files(name) or []} - {"..", "__pycache__"}:
            link = folder / top
            if not link.exists():
                link.symlink_to(installed / top)
