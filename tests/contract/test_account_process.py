"""The account's process: one listener, its own files only, started and stopped without traces."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.account import companion, lifecycle, processes, state_file
from local.account.clients import client, forget_foreign_settings
from local.account.listeners import listeners
from local.account.settings import HOST, AccountSettings
from local.account.testing import running_account
from local.lambda_runtime.testing import Functions
from local.testing.patience import PATIENCE_SECONDS

PARTS = ("lambda_runtime",)
IGNORES_TERM = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="listeners are read from Linux's /proc")


def test_the_account_answers_on_its_port(tmp_path: Path) -> None:
    with running_account(tmp_path, parts=PARTS) as account:
        assert lifecycle.answers(account)
        assert client(account, "sts").get_caller_identity()["Arn"].endswith(":user/deployer")


@linux
def test_nothing_else_listens_even_after_services_were_used(tmp_path: Path) -> None:
    with running_account(tmp_path, parts=PARTS) as account:
        client(account, "iot").list_things()
        client(account, "transfer").create_server()
        client(account, "sqs").create_queue(QueueName="queue")
        client(account, "s3").create_bucket(Bucket="bucket")
        functions = Functions(account)
        functions.create("function", functions.role("role"), "def handler(event, context): pass\n")
        functions.invoke("function")

        assert listeners(processes.group_members(account.pid)) == {(HOST, account.port)}


def test_a_taken_port_is_left_to_its_owner(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        try:
            account = lifecycle.start(AccountSettings(port=port, state_dir=tmp_path, parts=PARTS))
            assert account.port != port
            assert lifecycle.answers(account)
        finally:
            lifecycle.stop(tmp_path)


def test_two_accounts_run_side_by_side(tmp_path: Path) -> None:
    with (
        running_account(tmp_path / "a", parts=PARTS) as one,
        running_account(tmp_path / "b", parts=PARTS) as other,
    ):
        client(one, "sqs").create_queue(QueueName="only-here")

        assert client(other, "sqs").list_queues().get("QueueUrls", []) == []


def test_stopping_ends_every_process_and_listener(tmp_path: Path) -> None:
    with running_account(tmp_path, parts=PARTS) as account:
        functions = Functions(account)
        functions.create(
            "stays", functions.role("role"), "import os\ndef handler(event, context): return os.getpid()\n"
        )
        worker = functions.invoke("stays").payload
        assert set(processes.group_members(account.pid)) == {account.pid, worker}

        assert lifecycle.stop(tmp_path)

    assert processes.group_members(account.pid) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, account.port), timeout=1)


def test_stopping_ends_an_account_that_is_stuck_in_a_function(tmp_path: Path) -> None:
    with running_account(tmp_path, parts=PARTS) as account:
        functions = Functions(account)
        source = f"{IGNORES_TERM}import time\ndef handler(event, context): time.sleep(600)\n"
        functions.create("stuck", functions.role("role"), source, Timeout=600)
        client(account, "lambda").invoke(FunctionName="stuck", InvocationType="Event")
        _await(lambda: len(processes.group_members(account.pid)) == 2)

        assert lifecycle.stop(tmp_path)

    assert processes.group_members(account.pid) == []


def test_stopping_twice_is_no_error(tmp_path: Path) -> None:
    with running_account(tmp_path, parts=PARTS):
        assert lifecycle.stop(tmp_path)
        assert not lifecycle.stop(tmp_path)


def test_an_account_that_was_killed_is_not_found_and_its_workers_are_cleared(tmp_path: Path) -> None:
    with running_account(tmp_path, parts=PARTS) as account:
        functions = Functions(account)
        functions.create(
            "orphan", functions.role("role"), f"{IGNORES_TERM}def handler(event, context): pass\n"
        )
        functions.invoke("orphan")
        os.kill(account.pid, signal.SIGKILL)
        _await(lambda: lifecycle.find(tmp_path) is None)

        lifecycle.stop(tmp_path)

    assert processes.group_members(account.pid) == []


def test_an_account_whose_starter_was_killed_is_found_and_stopped(tmp_path: Path) -> None:
    settings = f"AccountSettings(port=0, state_dir=Path({str(tmp_path)!r}), parts=('lambda_runtime',))"
    source = f"""
import time
from pathlib import Path
from local.account import lifecycle
from local.account.settings import AccountSettings

def wait(process, settings):
    print(process.pid, flush=True)
    time.sleep(600)

lifecycle._wait_until_it_answers = wait
lifecycle.start({settings})
"""
    command = [sys.executable, "-c", source]
    with subprocess.Popen(command, cwd=lifecycle.REPOSITORY, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        account = int(starter.stdout.readline())
        starter.kill()

    assert lifecycle.find(tmp_path) is None
    assert lifecycle.stop(tmp_path)
    assert processes.group_members(account) == []


def test_an_account_ends_with_the_process_that_it_was_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        monkeypatch.setenv(companion.VARIABLE, str(other.pid))
        with running_account(tmp_path, parts=("lambda_runtime",)) as account:
            assert lifecycle.find(tmp_path) is not None
            other.kill()
            _await(lambda: processes.group_members(account.pid) == [])


def test_an_account_of_another_version_is_stopped(tmp_path: Path) -> None:
    with running_account(tmp_path, parts=PARTS) as account:
        document = {"pid": account.pid, "process_started": account.process_started, "new_field": 1}
        state_file.write_json(tmp_path / state_file.STATE_FILE, document)

        assert lifecycle.stop(tmp_path)

    assert processes.group_members(account.pid) == []


def test_a_process_that_got_the_accounts_id_since_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        state_file.write_process(tmp_path, state_file.AccountProcess(other.pid, "another start"))

        assert not lifecycle.stop(tmp_path)

        assert other.poll() is None


def test_a_start_that_fails_leaves_no_state_file(tmp_path: Path) -> None:
    forget_foreign_settings()
    with pytest.raises(lifecycle.AccountDidNotStart):
        lifecycle.start(AccountSettings(port=0, state_dir=tmp_path, parts=("no_such_part",)))

    assert state_file.read_process(tmp_path) is None


def test_nothing_is_written_to_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with running_account(tmp_path / "state", parts=PARTS) as account:
        client(account, "s3").create_bucket(Bucket="bucket")
        functions = Functions(account)
        functions.create(
            "function", functions.role("role"), "import boto3\ndef handler(event, context): pass\n"
        )
        functions.invoke("function")

    assert list(home.iterdir()) == []


def test_an_account_that_cannot_start_says_why_and_where_its_log_is(tmp_path: Path) -> None:
    forget_foreign_settings()
    settings = AccountSettings(port=0, state_dir=tmp_path, region="us-east-1", parts=("no_such_part",))

    with pytest.raises(lifecycle.AccountDidNotStart, match="no_such_part") as failure:
        lifecycle.start(settings)

    assert str(tmp_path / "account.log") in str(failure.value)


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)
