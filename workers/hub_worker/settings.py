"""The worker's settings, read once from the environment when it starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hub_worker.errors import InvalidSetting

LONGEST_JOB_SECONDS = 39_600
"""SQS keeps a message hidden for twelve hours at most, counted from when it was received (Amazon SQS
Developer Guide, «Amazon SQS visibility timeout»); the last hour of them is left alone."""


@dataclass(frozen=True)
class Settings:
    """What the program is told. Times are seconds."""

    queue_url: str
    jobs_table: str
    stack_name: str
    visibility: int
    """How long a message stays hidden after it was received and after each heartbeat."""
    wait: int
    """How long one look at the queue waits for a message."""
    max_job: int
    """How long a job may work before it is given up for this time."""
    drain: int
    """How long a worker that is to end may go on with its job."""
    retry: int
    """How long a message that failed stays hidden before its second try; later ones wait longer."""
    stuck: int
    """After how long without a sign of progress the worker counts as stuck."""
    health_port: int
    """Port on 127.0.0.1; 0 takes a free one."""
    metadata_endpoint: str
    """Where the instance metadata service is; empty where there is none, outside EC2."""
    metadata_interval: float
    until_empty: bool
    """Whether to end when a look at the queue finds nothing."""


def read_settings(variables: Mapping[str, str]) -> Settings:
    """The settings in the environment; raises InvalidSetting naming the first that is missing or
    malformed."""
    environment = _Environment(variables)
    return Settings(
        queue_url=environment.text("JOBS_QUEUE_URL"),
        jobs_table=environment.text("JOBS_TABLE"),
        stack_name=environment.text("STACK_NAME"),
        visibility=environment.number("VISIBILITY_SECONDS", 120, 1, 3_600),
        wait=environment.number("WAIT_SECONDS", 20, 0, 20),
        max_job=environment.number("MAX_JOB_SECONDS", 3_600, 1, LONGEST_JOB_SECONDS),
        drain=environment.number("DRAIN_SECONDS", 90, 0, 3_600),
        retry=environment.number("RETRY_SECONDS", 10, 0, 900),
        stuck=environment.number("STUCK_SECONDS", 300, 1, 3_600),
        health_port=environment.number("HEALTH_PORT", 8_377, 0, 65_535),
        metadata_endpoint=environment.address("METADATA_ENDPOINT", "http://169.254.169.254"),
        metadata_interval=environment.number("METADATA_MILLISECONDS", 5_000, 10, 60_000) / 1_000,
        until_empty=environment.number("UNTIL_EMPTY", 0, 0, 1) == 1,
    )


@dataclass(frozen=True)
class _Environment:
    variables: Mapping[str, str]

    def text(self, name: str) -> str:
        value = self.variables.get(name, "").strip()
        if not value:
            raise InvalidSetting(f"The setting {name} is missing: set it in the worker's environment.")
        return value

    def number(self, name: str, default: int, minimum: int, maximum: int) -> int:
        value = self.variables.get(name, "").strip() or str(default)
        if not re.fullmatch(r"[0-9]{1,9}", value) or not minimum <= int(value) <= maximum:
            expected = f"a whole number from {minimum} to {maximum}"
            raise InvalidSetting(f"The setting {name} is {value[:100]!r}, but must be {expected}.")
        return int(value)

    def address(self, name: str, default: str) -> str:
        value = self.variables.get(name, default).strip().rstrip("/")
        if value and not re.fullmatch(r"http://[0-9A-Za-z.:\[\]-]+", value):
            raise InvalidSetting(f"The setting {name} must be an http address, or empty for none.")
        return value
