"""What docs/architecture.md says of the house, held against the house."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROAD = re.findall(r"^\| \d \| `(hwnas/[\w/]+\.py)` \| `(\w+)` \|", PAGE, re.M)
# Not on the way: a search without a supernet has a front of its own, a report reads what is written.
ELSEWHERE = {"hwnas/search/predicted.py", "hwnas/report/forms.py"}


def definitions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {one.name for one in tree.body if isinstance(one, ast.ClassDef | ast.FunctionDef)}


def names(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    loaded = (one for one in ast.walk(tree) if isinstance(one, ast.Name | ast.alias))
    return {one.id if isinstance(one, ast.Name) else one.name for one in loaded}


def test_a_target_takes_at_most_seven_files_to_the_front() -> None:
    assert 2 < len(ROAD) <= 7
    for file, name in ROAD:
        assert name in definitions(file)
    for number, (_, name) in enumerate(ROAD[1:], 1):
        assert any(name in names(file) for file, _ in ROAD[:number]), f"nothing before {name} leads to it"


def test_no_other_file_hands_the_target_on() -> None:
    hands_on = re.compile(r"\btarget_latency_ms(\"\]? ?:|: |=(?!=))")
    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "hwnas").rglob("*.py")
        if hands_on.search(re.sub(r'"""(.|\n)*?"""', "", path.read_text(encoding="utf-8")))
    }
    assert found - ELSEWHERE <= {file for file, _ in ROAD}
    assert {"hwnas/cli/search.py", "hwnas/search/loop.py", "hwnas/search/front.py"} <= found


def test_every_folder_has_its_line() -> None:
    folders = {path.parent.name for path in (ROOT / "hwnas").glob("*/__init__.py")}
    assert folders == set(re.findall(r"^\| \d \| `(\w+)` \|", PAGE, re.M))
    inside = {path.parent.name for path in (ROOT / "hwnas/profilers").glob("*/__init__.py")}
    assert inside == set(re.findall(r"`(\w+)/`", PAGE.split("### Inside")[1].split("Inside `tvm`")[0]))


def test_the_floors_are_those_that_are_checked() -> None:
    (checked,) = re.findall(r"^layers = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.M | re.S)
    layers = [set(re.findall(r"hwnas\.(\w+)", line)) for line in checked.splitlines()]
    told: dict[int, set[str]] = {}
    for floor, folders in re.findall(r"^\| (\d) \| ((?:`\w+`(?:, )?)+) \|", PAGE, re.M):
        told.setdefault(int(floor), set()).update(re.findall(r"\w+", folders))
    ground = told.pop(0)
    assert [told[floor] for floor in sorted(told, reverse=True)] == layers[: len(told)]
    assert set().union(*layers[len(told) :]) <= ground
