import json
import struct
from pathlib import Path
from subprocess import run
from sys import executable

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import FittedPredictor, fit_predictor, load_predictor, score
from hwnas.spaces import Space
from tests.predictors.truth import drawn, true_accuracy, true_latency_ms


@pytest.fixture(scope="module", params=["mlp", "encoder"])
def fitted(demo: Space, request: pytest.FixtureRequest) -> FittedPredictor:
    candidates = drawn(demo, 40, 0, mixed=True)
    return fit_predictor(demo, candidates, true_latency_ms(candidates, 0), model=request.param)


def test_networks_learn_and_keep_the_contract(demo: Space, fitted: FittedPredictor, tmp_path: Path) -> None:
    fresh = drawn(demo, 200, 1, mixed=True)
    prediction = fitted.predict(fresh)
    got = score(prediction, true_latency_ms(fresh, 0))
    assert got.kendall_tau is not None
    assert got.kendall_tau > 0.6
    assert got.coverage_90 > 0.75
    assert (prediction.low <= prediction.mean).all()
    assert (fitted.upper(fresh, 0.95) >= prediction.mean).all()
    fitted.save(tmp_path / "p")
    again = load_predictor(tmp_path / "p")
    np.testing.assert_array_equal(again.predict(fresh).high, prediction.high)
    assert len(fitted.predict(fresh[:0])) == 0


def test_files_are_safetensors_and_need_no_torch(fitted: FittedPredictor, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    fitted.save(path)
    (length,) = struct.unpack("<Q", path.read_bytes()[:8])
    header = json.loads(path.read_bytes()[8 : 8 + length])
    assert json.loads(header["__metadata__"]["hwnas.predictor"])["model"] == fitted.model
    code = (
        "import sys; from pathlib import Path; from hwnas.predictors import load_predictor;"
        f"load_predictor(Path({str(path)!r})); sys.exit('torch' in sys.modules)"
    )
    assert run([executable, "-c", code], check=False).returncode == 0


def test_damaged_files_are_refused(fitted: FittedPredictor, tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    fitted.save(path)
    content = path.read_bytes()
    for damaged in (content[:-100], content[:40], content.replace(b'"target"', b'"tarqet"')):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"p\.safetensors"):
            load_predictor(path)


def test_accuracies_are_learnt_too(demo: Space) -> None:
    candidates = drawn(demo, 40, 2)
    predictor = fit_predictor(
        demo, candidates, true_accuracy(candidates, 0), metric="accuracy_top1", model="encoder"
    )
    fresh = drawn(demo, 100, 3)
    got = score(predictor.predict(fresh), true_accuracy(fresh, 0), metric="accuracy_top1")
    assert got.kendall_tau is not None
    assert got.kendall_tau > 0.3
