"""`hwnas fit` and `hwnas score` on CSV files."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from hwnas.spaces import Candidates, get_space
from tests.predictors.truth import drawn, true_accuracy, true_latency_ms

from .conftest import Ran
from .test_bad_input import refused
from .test_commands import good

Run = Callable[..., Ran]
KEYS = {
    "mape_percent",
    "rmse",
    "within_5_percent",
    "within_10_percent",
    "spearman",
    "kendall_tau",
    "coverage_90",
    "n",
}


def written(path: Path, candidates: Candidates) -> Path:
    """Writes a file with latencies on two devices and accuracies."""
    columns = [true_latency_ms(candidates, 0), true_latency_ms(candidates, 1), true_accuracy(candidates, 0)]
    with open(path, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["architecture", "latency_ms:a", "latency_ms:b", "accuracy_top1"])
        for one, *values in zip(candidates.unpack(), *columns, strict=True):
            rows.writerow([json.dumps(one.to_json()), *values])
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder, space = tmp_path_factory.mktemp("measured"), get_space("demo")
    return written(folder / "train.csv", drawn(space, 40, 0)), written(
        folder / "test.csv", drawn(space, 60, 1)
    )


@pytest.mark.parametrize("metric", ["latency_ms:b", "accuracy_top1"])
def test_fit_then_score(hwnas: Run, tmp_path: Path, files: tuple[Path, Path], metric: str) -> None:
    train, test = files
    predictor, plot = tmp_path / "p.json", tmp_path / "p.svg"
    words = ("fit", "--space", "demo", "--metric", metric, "--data", train, "-o", predictor, "--json")
    fitted = json.loads(good(hwnas(*words)).out)
    assert (fitted["measurements"], fitted["held_out"]["n"]) == (40, 40)
    got = json.loads(good(hwnas("score", predictor, "--data", test, "--plot", plot, "--json")).out)
    assert set(got) >= KEYS
    assert got["n"] == 60
    assert got["kendall_tau"] > 0.7
    drawn = Counter(re.findall(r'<use xlink:href="#(\w+)"', plot.read_text()))
    assert 60 in drawn.values()
    shown = good(hwnas("score", predictor, "--data", test))
    assert "Kendall tau" in shown.out


def test_a_device_is_scored_on_a_file_that_does_not_name_it(
    hwnas: Run, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    train, test = files
    predictor = tmp_path / "p.json"
    common = ("--data", train, "-o", predictor, "--model", "physics", "--shuffled")
    good(hwnas("fit", "--metric", "latency_ms:a", *common))
    alone = tmp_path / "alone.csv"
    alone.write_text(
        test.read_text().replace("latency_ms:a", "latency_ms", 1).replace(",latency_ms:b", ",x", 1)
    )
    assert json.loads(good(hwnas("score", predictor, "--data", alone, "--json")).out)["n"] == 60
    got = good(hwnas("score", predictor, "--data", test, "--metric", "latency_ms:b", "--json"))
    assert json.loads(got.out)["n"] == 60


def test_a_new_device_starts_from_another(hwnas: Run, tmp_path: Path, files: tuple[Path, Path]) -> None:
    train, test = files
    source, predictor = tmp_path / "a.json", tmp_path / "b.json"
    words = ("--data", train, "--model", "physics")
    good(hwnas("fit", "--metric", "latency_ms:a", *words, "-o", source))
    out = good(
        hwnas("fit", "--metric", "latency_ms:b", *words, "-o", predictor, "--source", source, "--json")
    )
    # Devices with nothing in common: held-out errors say whether the source helps.
    assert json.loads(out.out)["model"] in ("physics", "physics+sources")
    good(hwnas("score", predictor, "--data", test))


def test_what_cannot_be_fitted_or_scored_is_refused(
    hwnas: Run, tmp_path: Path, files: tuple[Path, Path]
) -> None:
    train, _ = files
    out = tmp_path / "p.json"
    refused(hwnas("fit", "--data", train, "--metric", "latency_ms:c", "-o", out), "did you mean 'latency_ms:")
    refused(hwnas("fit", "--data", tmp_path / "no.csv", "-o", out), "no.csv")
    refused(
        hwnas(
            "fit", "--data", train, "-o", out, "--space", "ofa-mobilenetv3-w1.0", "--metric", "latency_ms:a"
        ),
        "line 2",
    )
    few = tmp_path / "few.csv"
    few.write_text("".join(train.read_text().splitlines(keepends=True)[:3]))
    refused(hwnas("fit", "--data", few, "--metric", "latency_ms:a", "-o", out), "at least 3")
    refused(hwnas("score", train, "--data", train), "train.csv")
    assert not out.exists()
