"""The example scripts run, over the public API alone, and are short."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwnas.profilers import get_device
from hwnas.profilers.tables.file import write_table
from hwnas.spaces import get_space

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_has_at_most_40_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40


def test_own_table_predicts_networks_it_has_not_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(
        tmp_path / "board.csv", get_device("fpga-zcu102-dpu", get_space("demo")).table(get_space("demo"))
    )
    runpy.run_path(str(EXAMPLES / "own_table.py"))["main"](str(tmp_path / "board.csv"), "demo", "8")
    first, second = capsys.readouterr().out.splitlines()
    assert float(first.split(": ")[-1].split(" %")[0]) < 10
    assert second.startswith("fastest of 1000: ")


def test_own_predictor_is_scored_beside_ours(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "own_predictor.py"))["main"](str(measured), "demo", "latency_ms")
    own, ours = capsys.readouterr().out.splitlines()
    assert own.startswith("Neighbours: MAPE ")
    assert float(ours.split("MAPE ")[1].split(" %")[0]) < float(own.split("MAPE ")[1].split(" %")[0]) < 60


@pytest.mark.slow
def test_own_images_end_as_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name, colour in (("dusk", 40), ("noon", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(24):
            pixels = np.clip(rng.normal(colour, 30, (48, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    script = runpy.run_path(str(EXAMPLES / "own_images.py"))["main"]
    words = (str(tmp_path / "photos"), "25ms", str(tmp_path / "out"), "fpga-zcu102-dpu", "1", "12")
    script(*words)
    shown = capsys.readouterr().out.splitlines()
    assert shown[-1].startswith("files: ")
    for line in shown[:-1]:
        assert (tmp_path / "out" / "run" / "models" / line.split(":")[0] / "model.onnx").is_file()
