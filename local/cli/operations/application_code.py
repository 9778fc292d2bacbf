"""The application's own code, which these commands read its table and its bucket with: what writes a
ledger item is what reads it, and what verifies a run is what verified it before."""

import sys

from local.account.lifecycle import REPOSITORY


def make_importable() -> None:
    """Let this process import the packages of `functions/`, as the functions themselves do."""
    folder = str(REPOSITORY / "functions")
    if folder not in sys.path:
        sys.path.append(folder)
