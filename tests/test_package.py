"""The public surface, and what importing it must not cost."""

import subprocess
import sys

import pytest

import hwnas

HEAVY = (
    "torch",
    "tvm",
    "onnx",
    "onnxruntime",
    "xgboost",
    "sklearn",
    "pymoo",
    "scipy",
    "plotly",
    "matplotlib",
)


@pytest.mark.parametrize("name", hwnas.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(hwnas, name)
    assert isinstance(value, str) or (value.__doc__ or "").strip()


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = hwnas.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", [[], ["--help"], ["search", "--help"], ["spaces", "demo"]])
def test_light_commands_load_nothing_heavy(words: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['hwnas', *{words!r}]\n"
        "from hwnas.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


def test_the_help_of_no_command_loads_anything_heavy() -> None:
    code = (
        "import sys\n"
        "from hwnas.cli.main import app, main\n"
        "for command in app.registered_commands:\n"
        "    sys.argv = ['hwnas', command.name, '--help']\n"
        "    try: main()\n"
        "    except SystemExit as left: assert not left.code, command.name\n"
        f"    loaded = [name for name in {(*HEAVY, 'numpy', 'PIL', 'yaml')!r} if name in sys.modules]\n"
        "    assert not loaded, (command.name, loaded)\n"
        "print('COMMANDS', len(app.registered_commands))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.rsplit("COMMANDS ", 1)[1]) >= 14
