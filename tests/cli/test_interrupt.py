"""Ctrl-C once, twice, and where a program that we started fails of it."""

import os
import signal
import subprocess
import sys

import pytest

from hwnas.cli.interrupt import Interrupted, keeping_nothing, stoppable
from hwnas.errors import InputError
from hwnas.progress import Silent, Stopped


@pytest.fixture(autouse=True)
def heard():
    """Interrupts reach this process, also where the tests run in the background; as before at the end."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_once_ends_the_work_at_its_next_step_and_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    steps: list[int] = []

    def work() -> None:
        with stoppable(Silent()) as listener:
            for number in range(3):
                steps.append(number)
                if number == 1:
                    press()
                    listener.say("still at work")
                listener.step("work", number, 3)

    with pytest.raises(Stopped):
        work()
    assert steps == [0, 1]
    assert "hwnas: ending after what is in flight" in capfd.readouterr().err


def interrupted(presses: int, error: Exception | None = None) -> None:
    with stoppable(Silent()):
        for _ in range(presses):
            press()
        if error:
            raise error


def test_twice_ends_it_wherever_it_is() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        interrupted(2)
    assert not isinstance(caught.value, Stopped)


def test_what_fails_of_the_same_key_counts_as_interrupted() -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(1, RuntimeError("the compiler was interrupted"))
    with pytest.raises(RuntimeError):
        interrupted(0, RuntimeError("it fails by itself"))
    with pytest.raises(InputError):
        interrupted(1, InputError("a bad file"))


def test_where_interrupts_are_ignored_they_stay_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stoppable(Silent()) as listener:
        press()
        listener.step("work", 1, 3)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_command_that_keeps_nothing_does_not_say_that_it_can_be_resumed() -> None:
    with pytest.raises(Interrupted, match="interrupted; nothing was kept: add -o FILE") as caught:
        keeping_nothing("add -o FILE")(interrupted)(2)
    assert caught.value.exit_code == 130


def test_one_more_after_the_last_word_changes_nothing() -> None:
    code = (
        "import atexit, os, signal\n"
        "from hwnas.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
        "main._fail_interrupted()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 130
    assert ran.stderr == "hwnas: interrupted; repeat the same command to resume\n"
