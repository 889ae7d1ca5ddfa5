"""Lock files hold a place against others, and leave nothing behind."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hwnas.lock import held


def test_a_second_holder_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with held(path), pytest.raises(BlockingIOError), held(path):
        pass
    with held(path):
        assert path.exists()
    assert not path.exists()


def test_the_file_of_a_process_that_was_killed_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    code = "import os, sys; from pathlib import Path; from hwnas.lock import held\n"
    code += "with held(Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    assert (
        subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=False).returncode == -9
    )
    assert path.exists()
    with held(path):
        pass
    assert not path.exists()


def test_who_waits_gets_a_lock_that_is_let_go_in_time(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    code = "import sys; from pathlib import Path; from hwnas.lock import held\n"
    code += "with held(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdin
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError), held(path, 0.2):
            pass
        threading.Timer(0.3, other.stdin.close).start()
        with held(path, 60.0):
            assert path.exists()


def test_the_lock_of_who_came_after_the_folder_was_removed_stays(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with held(path):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


def test_what_goes_wrong_inside_is_not_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="elsewhere"), held(tmp_path / ".lock"):
        raise PermissionError("elsewhere")
    assert list(tmp_path.iterdir()) == []
