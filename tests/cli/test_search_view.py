"""What a search shows on a terminal, and how its words are read."""

import pytest

from hwnas.cli.search import split_target
from hwnas.cli.search_view import SearchView
from hwnas.errors import InputError
from hwnas.search.result import Status


def test_the_panel_tells_generation_evaluations_hypervolume_best_and_time_left() -> None:
    from rich.console import Console

    view = SearchView()
    view.step("evaluate accuracy", 3, 16)
    view.step("profile cpu", 5, 5)
    status = Status(
        round=2,
        rounds=4,
        stage="proposed",
        device="cpu",
        generation=17,
        priced=4321,
        evaluated=88,
        hypervolume=12.345,
        best={"cpu": (91.25, 0.125)},
        seconds_left=150.0,
    )
    view.watch(status)
    rows = dict(view.lines())
    assert rows["evaluate accuracy"] == "3 of 16"
    assert "profile cpu" not in rows
    assert rows["round"] == "2 of 4 (cpu, proposed)"
    assert rows["generation"] == "17"
    assert rows["evaluated"].startswith("88 networks; 4321 priced")
    assert rows["hypervolume"].startswith("12.345")
    assert rows["best on cpu"] == "91.25 % at 125us"
    assert rows["left, at most"] == "2 min 30 s"
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(view.render())
    assert "hypervolume" in console.export_text()
    console.file.close()


def test_before_the_first_model_within_the_limits_that_is_said() -> None:
    view = SearchView()
    view.watch(
        Status(
            round=0,
            rounds=4,
            stage="measured",
            device="cpu",
            generation=0,
            priced=0,
            evaluated=0,
            hypervolume=0.0,
            best={},
            seconds_left=0.0,
        )
    )
    assert ("best", "none within the limits yet") in view.lines()


@pytest.mark.parametrize(
    ("text", "name", "target"),
    [
        ("cpu", "cpu", None),
        ("cpu=25ms", "cpu", 25.0),
        ("table:a=b.csv", "table:a=b.csv", None),
        ("table:a=b.csv=0.5ms", "table:a=b.csv", 0.5),
        ("x=1.yaml", "x=1.yaml", None),
    ],
)
def test_a_device_may_carry_its_target(text: str, name: str, target: float | None) -> None:
    assert split_target(text, "--device") == (name, target)


def test_a_target_without_a_unit_is_refused() -> None:
    with pytest.raises(InputError, match="--device cpu= needs a unit"):
        split_target("cpu=25", "--device")
