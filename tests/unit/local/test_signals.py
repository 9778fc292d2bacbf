"""What a command does when it is told to end while it has processes to look after."""

import os
import signal
import subprocess
import sys

import pytest

from local.account import processes, signals

REPORT = "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)"


@pytest.mark.parametrize("number", signals.ENDING)
def test_every_ending_signal_interrupts_a_command(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), signals.interrupting():
        os.kill(os.getpid(), number)


def test_a_signal_that_is_ignored_from_the_start_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    went_on = False
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.interrupting():
            os.kill(os.getpid(), signal.SIGHUP)
            went_on = True
    finally:
        signal.signal(signal.SIGHUP, before)

    assert went_on


@pytest.mark.parametrize("number", signals.ENDING)
def test_nothing_disturbs_a_clean_up(number: signal.Signals) -> None:
    cleaned_up = False
    with signals.interrupting(), signals.ignored():
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        cleaned_up = True

    assert cleaned_up


def test_what_must_be_done_whole_is_done_before_the_signal_counts() -> None:
    done = []

    def work() -> None:
        with signals.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("all of it")
        done.append("more")

    with pytest.raises(KeyboardInterrupt), signals.interrupting():
        work()

    assert done == ["all of it"]


def test_handlers_are_as_before_when_a_block_has_ended() -> None:
    before = [signal.getsignal(number) for number in signals.ENDING]
    for block in (signals.interrupting, signals.ignored, signals.deferred):
        with block():
            pass

    assert [signal.getsignal(number) for number in signals.ENDING] == before


def test_a_process_that_is_started_meanwhile_ends_by_signals_as_usual() -> None:
    with signals.deferred():
        shown = subprocess.run([sys.executable, "-c", REPORT], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "True"


def test_a_command_that_is_interrupted_while_it_starts_a_program_ends_the_program() -> None:
    groups: list[int] = []

    def interrupted() -> None:
        with processes.group_of([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
            groups.append(process.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert [processes.group_members(group) for group in groups] == [[]]
