"""`logs`: what the deployed functions wrote."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from local.account import lifecycle
from local.account.clients import client
from local.account.state_file import RunningAccount
from local.cli import stack
from local.cli.errors import CommandError, account_is_down
from local.cli.output import Output, counted
from local.cli.project import Project
from local.cli.sam import local_environment

FOLLOW_SECONDS = 1.0
# How long after its time an event may still appear: each look goes back by this much.
LATE_MILLISECONDS = 10_000


@dataclass
class LogReader:
    """Reads log groups, by logical id of their function, from a time on (milliseconds); each event once.

    A look asks for what is new, and for what is young enough to have been late at the last look.
    """

    client: Any
    groups: Mapping[str, str]
    since: int
    _seen: dict[str, int] = field(default_factory=dict)

    def new_events(self) -> list[tuple[int, str, str]]:
        """Time in milliseconds, logical id and text of what was not read before, in order of time."""
        events = [event for name, group in self.groups.items() for event in self._events(name, group)]
        newest = max((milliseconds for milliseconds, *_ in events), default=0)
        self.since = max(self.since, newest - LATE_MILLISECONDS)
        self._seen = {event: moment for event, moment in self._seen.items() if moment >= self.since}
        return sorted(events, key=lambda event: event[0])

    def _events(self, name: str, group: str) -> Iterator[tuple[int, str, str]]:
        pages = self.client.get_paginator("filter_log_events")
        try:
            for page in pages.paginate(logGroupName=group, startTime=self.since):
                for event in page["events"]:
                    if event["eventId"] not in self._seen:
                        self._seen[event["eventId"]] = event["timestamp"]
                        yield event["timestamp"], name, event["message"].rstrip()
        except ClientError as error:
            # a function that has not run yet has written nothing
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise


def logs(project: Project, output: Output, function: str | None, *, minutes: int, follow: bool) -> int:
    """Show the logs of one function or of all, from so many minutes ago; with `follow` until Ctrl-C."""
    if follow and output.as_json:
        raise CommandError(
            "`logs --json` writes one document at its end, and with --follow it has no end.",
            "Leave out one of the two.",
        )
    account = lifecycle.find(project.account_dir)
    if account is None:
        raise account_is_down()
    functions = stack.functions(account, local_environment(project.samconfig).stack_name)
    if function is not None and function not in functions:
        raise CommandError(
            f"The stack has no function {function}.", "It has: " + ", ".join(sorted(functions))
        )
    chosen = {function: functions[function]} if function else functions
    groups = {name: log_group(account, deployed) for name, deployed in chosen.items()}
    reader = LogReader(client(account, "logs"), groups, int((time.time() - minutes * 60) * 1000))
    documents = _show(reader, output)
    while follow:
        time.sleep(FOLLOW_SECONDS)
        _show(reader, output)
    if not documents:
        output.line(f"Nothing was logged in the last {counted(minutes, 'minute')}.")
    output.document(documents)
    return 0


def log_group(account: RunningAccount, function: str) -> str:
    """The name of the log group that a deployed function writes to."""
    configuration = client(account, "lambda").get_function_configuration(FunctionName=function)
    group: str = configuration.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{function}"
    return group


def _show(reader: LogReader, output: Output) -> list[dict[str, str]]:
    documents = []
    for milliseconds, name, message in reader.new_events():
        stamp = datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%H:%M:%S.%f")[:-3]
        output.line(f"{stamp} {name}: {message}")
        documents.append({"time": stamp, "function": name, "message": message})
    return documents
