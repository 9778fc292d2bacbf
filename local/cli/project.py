"""Where things are in the project's folder."""

import sys
from dataclasses import dataclass
from pathlib import Path

from local.account.lifecycle import REPOSITORY


@dataclass(frozen=True)
class Project:
    """The folders and files of one copy of the repository."""

    root: Path = REPOSITORY

    @property
    def template(self) -> Path:
        return self.root / "template.yaml"

    @property
    def samconfig(self) -> Path:
        return self.root / "samconfig.toml"

    @property
    def local_dir(self) -> Path:
        """State, logs and data of local accounts; nothing in it is needed after `make clean`."""
        return self.root / ".local"

    @property
    def account_dir(self) -> Path:
        """The account that `up` starts."""
        return self.local_dir / "account"

    @property
    def demo_dir(self) -> Path:
        """The account that `demo` starts and stops."""
        return self.local_dir / "demo"

    @property
    def demo_lock(self) -> Path:
        """Held by the demo that runs."""
        return self.local_dir / "demo.lock"

    @property
    def demo_report(self) -> Path:
        return self.local_dir / "demo.json"

    @property
    def build_dir(self) -> Path:
        return self.local_dir / "build"

    @property
    def cache_dir(self) -> Path:
        return self.root / ".cache"


def command_line() -> str:
    """How this command line is called from the project's folder."""
    executable = Path(sys.executable)
    shown = executable.relative_to(REPOSITORY) if executable.is_relative_to(REPOSITORY) else executable
    return f"{shown} -m local"
