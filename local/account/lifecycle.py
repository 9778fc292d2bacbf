"""Starts and stops the account's process, and finds the one that runs."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

from local.account import identity, processes, signals, state_file
from local.account.settings import HOST, AccountSettings, without_foreign_variables
from local.account.state_file import AccountProcess, RunningAccount

START_DEADLINE_SECONDS = 60.0
STOP_GRACE_SECONDS = 6.0
START_ATTEMPTS = 3
REPOSITORY = Path(__file__).resolve().parents[2]

DEPLOYING_USER = "deployer"
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


class AccountDidNotStart(RuntimeError):
    """The account's process ended or kept silent while it started."""

    def __init__(self, reason: str, log_file: Path) -> None:
        super().__init__(f"The local account did not start: {reason}. Its log is {log_file}")
        self.log_file = log_file


class AccountDidNotStop(RuntimeError):
    """Processes of the account outlived KILL."""


def start(settings: AccountSettings) -> RunningAccount:
    """Start the account and wait until it answers; another free port is taken when the given one is in use.

    Returns what the state file now says. Raises AccountDidNotStart with the log's place.
    """
    settings.create_directories()
    for _ in range(START_ATTEMPTS):
        settings = replace(settings, port=free_port(settings.port))
        process: subprocess.Popen[bytes] | None = None
        try:
            with signals.deferred():
                process = _spawn(settings)
                # before anything else can go wrong: whoever finds the file can stop the process
                state_file.write_process(settings.state_dir, _mark(process.pid))
            if _wait_until_it_answers(process, settings):
                return _record(process.pid, settings)
        except BaseException:
            with signals.ignored():
                if process is not None:
                    processes.end_group(process.pid, grace_seconds=1.0)
                state_file.remove(settings.state_dir)
            raise
    state_file.remove(settings.state_dir)
    raise AccountDidNotStart(_last_line(settings.log_file), settings.log_file)


def find(state_dir: Path) -> RunningAccount | None:
    """The account that the state directory belongs to, if its process still runs."""
    account = state_file.read(state_dir)
    return account if account is not None and runs(account) else None


def runs(account: RunningAccount | AccountProcess) -> bool:
    """Whether the account's own process runs (not another one that was given its id since)."""
    return processes.started_token(account.pid) == account.process_started


def answers(account: RunningAccount) -> bool:
    """Whether the account's own process answers on its port."""
    return (_ask(account.port) or {}).get("pid") == account.pid


def stop(state_dir: Path) -> bool:
    """Stop the account of a state directory with all its workers; returns whether one was running.

    It may still be starting, or be one that another version of this code has started.
    Raises AccountDidNotStop when a process outlives KILL.
    """
    account = state_file.read_process(state_dir)
    # a leader that died leaves its workers in the group, under the id that no new process is given meanwhile
    ours = account is not None and (runs(account) or processes.started_token(account.pid) is None)
    running = account is not None and ours and bool(processes.group_members(account.pid))
    if account is not None and running and not processes.end_group(account.pid, STOP_GRACE_SECONDS):
        left = ", ".join(map(str, processes.group_members(account.pid)))
        raise AccountDidNotStop(f"Processes of the local account did not end, even by KILL: {left}")
    state_file.remove(state_dir)
    return running


def free_port(preferred: int) -> int:
    """The preferred port of 127.0.0.1 if it is free, else one that the system picks."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            number: int = probe.getsockname()[1]
            return number
    raise OSError(f"no free port on {HOST}")


def _spawn(settings: AccountSettings) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "local.account", "--port", str(settings.port)]
    command += ["--state-dir", str(settings.state_dir), "--region", settings.region]
    command += ["--parts", *settings.parts]
    command += [] if settings.auth else ["--no-auth"]
    with settings.log_file.open("ab") as log:
        # a session of its own: Ctrl-C in a terminal does not reach it, and its group holds every worker
        return subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=without_foreign_variables(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_until_it_answers(process: subprocess.Popen[bytes], settings: AccountSettings) -> bool:
    """Whether the process answers; False when it ended because the port was taken meanwhile."""
    deadline = time.monotonic() + START_DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if (_ask(settings.port) or {}).get("pid") == process.pid:
            return True
        if process.poll() is not None:
            if "Address already in use" in _last_line(settings.log_file):
                return False
            raise AccountDidNotStart(_last_line(settings.log_file), settings.log_file)
        time.sleep(processes.POLL_SECONDS)
    raise AccountDidNotStart(f"no answer within {START_DEADLINE_SECONDS:.0f} seconds", settings.log_file)


def _mark(pid: int) -> AccountProcess:
    return AccountProcess(pid, processes.started_token(pid) or "")


def _record(pid: int, settings: AccountSettings) -> RunningAccount:
    access_key_id, secret_access_key = create_deploying_user(settings)
    account = RunningAccount(
        **asdict(_mark(pid)),
        port=settings.port,
        region=settings.region,
        auth=settings.auth,
        state_dir=str(settings.state_dir),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
    )
    state_file.write(account)
    return account


def create_deploying_user(settings: AccountSettings) -> tuple[str, str]:
    """Create the IAM user that deploys; returns its access key. Root would bypass bucket policies."""
    root = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")  # noqa: S106
    iam = root.client("iam", endpoint_url=settings.endpoint, region_name=settings.region)
    iam.create_user(UserName=DEPLOYING_USER)
    iam.attach_user_policy(UserName=DEPLOYING_USER, PolicyArn=ADMINISTRATOR)
    key = iam.create_access_key(UserName=DEPLOYING_USER)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def _ask(port: int) -> dict[str, Any] | None:
    """What answers on a port says about itself, or None."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{port}{identity.PATH}", timeout=2) as answer:
            document = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return document if isinstance(document, dict) else None


def _last_line(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"
