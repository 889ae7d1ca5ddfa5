"""What the documentation shows: commands that exist, code that runs, files that are read, a site."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from hwnas.cli.main import app
from hwnas.errors import InputError
from hwnas.profilers import get_device
from hwnas.spaces import open_space

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
COMMANDS = {one.name: one for one in app.registered_commands}
# What stands for something of the reader's.
PLACEHOLDERS = str.maketrans({"…": " ", "[": " ", "]": " "})


def blocks(page: Path, language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    return [text for kind, text in fenced if kind == language]


def shown(page: Path) -> Iterator[tuple[str, bool]]:
    """The hwnas commands on a page, and whether they are whole ones, to be typed as they stand."""
    for text in [*blocks(page, "console"), *blocks(page, "sh")]:
        for line in text.splitlines():
            for part in line.removeprefix("$ ").split(" && "):
                if part.startswith("hwnas "):
                    yield part, "…" not in part
    for code in re.findall(r"`(hwnas [^`\n]+)`", page.read_text(encoding="utf-8")):
        yield code, False


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_shown_exists_with_its_options(page: Path) -> None:
    group = get_command(app)
    for command, whole in shown(page):
        words = shlex.split(re.split(r"\s+[#>]", command)[0].translate(PLACEHOLDERS))[1:]
        if words[0] in ("COMMAND", "--help", "--version"):
            continue
        assert words[0] in COMMANDS, f"no command `{command}`"
        known = group.commands[words[0]]  # type: ignore[attr-defined]
        options = {name for one in known.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
        for word in words[1:]:
            if word.startswith("-"):
                assert word.split("=")[0] in options, f"no option {word}: `{command}`"
        if whole and "--help" not in words:
            known.make_context(words[0], words[1:])  # raises where it would not be taken


def test_the_command_reference_is_up_to_date_and_describes_everything() -> None:
    checked = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "cli_reference.py"), "--check"],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr


def test_what_is_not_described_fails_the_reference() -> None:
    source = (
        "import sys; sys.path.insert(0, 'scripts'); import cli_reference as c; import typer;"
        "from typing import Annotated\n"
        "def odd(x: Annotated[int, typer.Option('--x')] = 1) -> None:\n    'Does.'\n"
        "c.app.command('odd', epilog='Example: hwnas odd')(odd)\n"
        "c.reference()\n"
    )
    ran = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True)
    assert "`--x` of command 'odd' is not described" in ran.stderr


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=named)
def test_the_code_shown_runs(page: Path, tmp_path: Path) -> None:
    code = "\n".join(blocks(page, "python"))
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_files_shown_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One of them asks for two threads, which are refused where there is one core.
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1}, raising=False)
    num_spaces = num_devices = 0
    for page in PAGES:
        for number, text in enumerate(blocks(page, "yaml")):
            file = tmp_path / f"{page.stem}-{number}.yaml"
            file.write_text(text, encoding="utf-8")
            if "stages:" in text:
                assert open_space(str(file)).num_architectures > 1
                num_spaces += 1
            elif text.startswith("name:") and "rpc:" not in text:
                assert get_device(str(file)).name
                num_devices += 1
    assert num_spaces >= 2
    assert num_devices >= 2


def test_the_block_table_shown_is_one(tmp_path: Path) -> None:
    (text,) = (
        one for one in blocks(ROOT / "docs/howto/accelerator.md", "text") if one.startswith("# device")
    )
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    assert set(get_device(f"table:{tmp_path / 't.csv'}").bits) == {8, 4}
    (tmp_path / "t.csv").write_text(text.replace("mbconv", "mbcov"), encoding="utf-8")
    with pytest.raises(InputError, match="line 6"):
        get_device(f"table:{tmp_path / 't.csv'}")


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install 'hwnas[docs]'")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        made = tmp_path / "site" / page.relative_to(ROOT / "docs").with_suffix(".html")
        html = made.read_text(encoding="utf-8")
        # Nothing is fetched from elsewhere to show a page.
        assert not re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://[^"]*', html)
