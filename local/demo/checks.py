"""What has to hold in the end."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One thing that has to hold, with the numbers that show whether it does."""

    name: str
    holds: bool
    numbers: str


def equal(name: str, left: int, right: int) -> Check:
    """Two counts that have to be the same."""
    return Check(name, left == right, f"{left:,} = {right:,}")
