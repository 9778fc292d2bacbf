"""The command `demo` and its options."""

import argparse
from pathlib import Path

from local.cli.main import Add
from local.cli.operations.application_code import make_importable
from local.cli.output import Output
from local.cli.project import Project


def add_demo(add: Add) -> None:
    """Define the command."""
    command = add("demo", _demo, "Deploy into a fresh account, load, export, change, export again, redrive.")
    command.add_argument(
        "--data",
        type=Path,
        help="folder of NDJSON files, one resource with an id per line (generated without it)",
    )


def _demo(project: Project, output: Output, options: argparse.Namespace) -> int:
    make_importable()
    from local.demo.command import demo

    return demo(project, output, options.data)
