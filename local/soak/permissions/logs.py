"""What is logged from a moment on, wherever it is that one looks for a permission that is missing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from local.cli.logs import log_group
from local.soak.permissions.stage import Stage

_DELIVERY_LOG = "LakeRowsStreamLogs"


@dataclass(frozen=True)
class Logs:
    """The logs of a stage since a time in milliseconds, and of the account's own from a byte on; `role` is
    the one that lacks a permission."""

    stage: Stage
    role: str
    since: int
    offset: int

    @classmethod
    def from_now(cls, stage: Stage, role: str) -> Self:
        """The logs of what happens from now on."""
        return cls(stage, role, int(time.time() * 1000) - 1, stage.account.log_file.stat().st_size)

    def of_functions(self) -> str:
        """What all functions have logged."""
        return self.stage.logged(self.stage.log_groups(), self.since)

    def of_the_role(self) -> Iterator[tuple[str, str]]:
        """What is logged where the role's permissions are missed, with the log's name: by its function, by
        the delivery stream, and by the account, in which a service says what on AWS only the metrics and the
        trail of the account tell. Few are read, and soon: what fails is given up after so many tries."""
        if self._own_group:
            yield "log", self.stage.logged([self._own_group], self.since)
        yield "delivery stream's log", self.stage.logged([self._delivery_group], self.since)
        with self.stage.account.log_file.open(encoding="utf-8", errors="replace") as file:
            file.seek(self.offset)
            yield "account's log", file.read()

    @cached_property
    def _own_group(self) -> str | None:
        """The log group of the function whose role it is."""
        function = self.stage.functions().get(self.role.removesuffix("Role"))
        return None if function is None else log_group(self.stage.account, function)

    @cached_property
    def _delivery_group(self) -> str:
        return self.stage.physical_name(_DELIVERY_LOG)
