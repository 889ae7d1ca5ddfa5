import json
import sys
from pathlib import Path
from subprocess import run

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.predictors import FittedPredictor, fit_and_score, fit_predictor, load_predictor, model_names, score
from hwnas.spaces import Candidates, Space
from tests.predictors.truth import drawn, true_accuracy, true_latency_ms

# Neural models take seconds; test_neural.py fits each once.
RUNTIME_MODELS = [name for name in model_names() if name not in ("auto", "mlp", "encoder")]


@pytest.mark.parametrize("model", RUNTIME_MODELS)
@pytest.mark.parametrize("metric", ["latency_ms", "accuracy_top1"])
def test_every_model_keeps_the_contract(demo: Space, tmp_path: Path, model: str, metric: str) -> None:
    if metric == "accuracy_top1" and model == "physics":
        pytest.skip("physics predicts no accuracies")
    candidates, fresh = drawn(demo, 30, 0, mixed=True), drawn(demo, 50, 1, mixed=True)
    truth = true_latency_ms if metric == "latency_ms" else true_accuracy
    predictor = fit_predictor(demo, candidates, truth(candidates, 0), metric=metric, model=model)
    prediction = predictor.predict(fresh)
    assert np.isfinite([prediction.low, prediction.high]).all()
    assert (prediction.low > 0).all()
    assert (prediction.low <= prediction.mean).all()
    assert (prediction.mean <= prediction.high).all()
    np.testing.assert_allclose(predictor.mean(fresh), prediction.mean, rtol=1e-6)
    assert (predictor.predict(fresh, 0.5).high <= prediction.high).all()
    assert len(predictor.predict(fresh[:0])) == 0
    np.testing.assert_allclose(predictor.predict(fresh[3:4]).high, prediction.high[3:4], rtol=1e-9)

    predictor.save(tmp_path / "p.json")
    again = load_predictor(tmp_path / "p.json")
    assert (again.metric, again.model, again.num_measurements) == (metric, model, 30)
    for one, other in zip(vars(again.predict(fresh)).values(), vars(prediction).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.mean(fresh), predictor.mean(fresh))


@pytest.mark.parametrize("mixed", [False, True])
def test_latencies_are_predicted_from_a_hundred_measurements(demo: Space, mixed: bool) -> None:
    candidates = drawn(demo, 1100, 5, mixed)
    latency = true_latency_ms(candidates, 5)
    fitted = fit_and_score(demo, candidates[:100], latency[:100])
    got = score(fitted.predictor.predict(candidates[100:]), latency[100:])
    assert fitted.predictor.model == "gp"
    assert got.mape_percent is not None
    assert got.mape_percent < (2.5 if mixed else 1.5)
    assert got.kendall_tau is not None
    assert got.kendall_tau > 0.93
    assert 0.82 <= got.coverage_90 <= 0.97
    assert fitted.score.mape_percent == pytest.approx(got.mape_percent, rel=0.5)
    assert 0.82 <= fitted.score.coverage_90 <= 0.97
    assert fitted.score == score(fitted.held_out, latency[:100])


@pytest.mark.parametrize("mixed", [False, True])
def test_latencies_of_large_spaces_are_predicted_too(real: Space, mixed: bool, tmp_path: Path) -> None:
    candidates = drawn(real, 580, 5, mixed)
    latency = true_latency_ms(candidates, 5)
    fitted = fit_and_score(real, candidates[:80], latency[:80])
    got = score(fitted.predictor.predict(candidates[80:]), latency[80:])
    assert got.mape_percent is not None
    assert got.kendall_tau is not None
    # Thousands of kernels, each off by a factor of its own: 80 networks have not shown them all.
    assert got.mape_percent < 5
    assert got.kendall_tau > 0.9
    assert 0.82 <= got.coverage_90 <= 0.98
    fitted.predictor.save(tmp_path / "p.json")
    again = load_predictor(tmp_path / "p.json")
    np.testing.assert_array_equal(again.mean(candidates[80:]), fitted.predictor.mean(candidates[80:]))


def test_accuracies_of_large_spaces_are_predicted(real: Space) -> None:
    candidates = drawn(real, 400, 6)
    accuracy = true_accuracy(candidates, 6)
    fitted = fit_and_score(real, candidates[:100], accuracy[:100], metric="accuracy_top1")
    assert score(fitted.predictor.predict(candidates[100:]), accuracy[100:]).kendall_tau > 0.6


def test_accuracies_are_predicted_through_their_noise(demo: Space) -> None:
    candidates = drawn(demo, 1100, 6, mixed=True)
    accuracy = true_accuracy(candidates, 6)
    measured = accuracy + 0.5 * np.random.default_rng(0).standard_normal(1100)
    fitted = fit_and_score(demo, candidates[:100], measured[:100], metric="accuracy_top1", noise=0.5)
    prediction = fitted.predictor.predict(candidates[100:])
    assert score(prediction, accuracy[100:]).rmse < 0.3
    assert score(prediction, accuracy[100:]).kendall_tau > 0.83
    assert 0.83 <= score(prediction, measured[100:]).coverage_90 <= 0.97


def test_intervals_hold_over_many_fits(demo: Space) -> None:
    inside, above = [], []
    for seed in range(12):
        candidates = drawn(demo, 340, seed)
        latency = true_latency_ms(candidates, seed, noise=0.03)
        predictor = fit_predictor(demo, candidates[:40], latency[:40], model="linear", seed=seed)
        prediction = predictor.predict(candidates[40:])
        inside.append(score(prediction, latency[40:]).coverage_90)
        above.append(np.mean(latency[40:] > prediction.high))
    assert 0.88 <= np.mean(inside) <= 0.96
    assert np.mean(above) <= 0.06


def test_larger_networks_are_never_far_below_smaller_ones(demo: Space) -> None:
    candidates = drawn(demo, 60, 2)
    predictor = fit_predictor(demo, candidates, true_latency_ms(candidates, 2))
    genomes = drawn(demo, 100, 3).genomes
    genomes[:, -1] = 0
    small = predictor.mean(Candidates.of_genomes(demo, genomes))
    genomes[:, -1] = demo.choice_counts[-1] - 1
    assert (predictor.mean(Candidates.of_genomes(demo, genomes)) > small).all()
    ends = Candidates.of_architectures(demo, [demo.smallest(), demo.largest()])
    low, high = predictor.mean(ends)
    truth = true_latency_ms(candidates, 2)
    assert 0 < low < np.median(truth) < high


def test_quantized_networks_are_priced_from_float_ones_without_nonsense(demo: Space) -> None:
    genomes = drawn(demo, 40, 4).genomes
    plain, quantized = (Candidates.of_genomes(demo, genomes, bits, bits) for bits in (32, 8))
    predictor = fit_predictor(demo, plain, true_latency_ms(plain, 4))
    ratio = predictor.mean(quantized) / predictor.mean(plain)
    assert (ratio > 0.2).all()
    assert (ratio < 2).all()


@pytest.mark.parametrize("metric", ["latency_ms", "accuracy_top1"])
@pytest.mark.parametrize("n", [3, 5, 12])
def test_few_measurements_are_enough_for_a_sane_fit(demo: Space, metric: str, n: int) -> None:
    candidates, fresh = drawn(demo, n, 7), drawn(demo, 200, 8)
    truth = true_latency_ms if metric == "latency_ms" else true_accuracy
    values, expected = truth(candidates, 0), truth(fresh, 0)
    fitted = fit_and_score(demo, candidates, values, metric=metric)
    got = score(fitted.predictor.predict(fresh), expected)
    assert got.mape_percent < (25 if metric == "latency_ms" else 5)
    assert got.coverage_90 > 0.7
    assert fitted.score.n == n


@pytest.mark.parametrize("model", RUNTIME_MODELS)
def test_a_constant_target_is_predicted_as_it_is(demo: Space, model: str) -> None:
    candidates = drawn(demo, 12, 9)
    predictor = fit_predictor(demo, candidates, np.full(12, 2.0), model=model)
    near = predictor.predict(candidates)
    assert np.abs(near.mean / 2 - 1).max() < 0.3
    accuracy = fit_predictor(demo, candidates, np.full(12, 90.0), metric="accuracy_top1").predict(candidates)
    np.testing.assert_allclose(accuracy.mean, 90.0, atol=1e-3)


def test_repetitions_share_a_fold_and_order_does_not_matter(demo: Space) -> None:
    candidates = drawn(demo, 20, 10)
    latency = true_latency_ms(candidates, 0)
    twice = Candidates.concatenate([candidates, candidates])
    both = fit_and_score(demo, twice, np.concatenate([latency, latency * 1.3]), model="physics")
    np.testing.assert_allclose(both.held_out.mean[:20], both.held_out.mean[20:])
    shuffle = np.random.default_rng(0).permutation(20)
    one = fit_and_score(demo, candidates, latency, model="gp")
    other = fit_and_score(demo, candidates[shuffle], latency[shuffle], model="gp")
    np.testing.assert_allclose(one.held_out.mean[shuffle], other.held_out.mean, rtol=1e-3)


def test_the_same_measurements_give_the_same_predictor(demo: Space) -> None:
    candidates = drawn(demo, 30, 11)
    latency = true_latency_ms(candidates, 0)
    one, other = (fit_predictor(demo, candidates, latency, seed=3).to_json() for _ in range(2))
    assert one == other


def test_architectures_stand_for_candidates_in_floating_point(demo: Space) -> None:
    candidates = drawn(demo, 15, 12)
    latency = true_latency_ms(candidates, 0)
    architectures = demo.architectures(candidates.genomes)
    one = fit_predictor(demo, architectures, latency.tolist(), model="physics")
    np.testing.assert_array_equal(
        one.mean(candidates), fit_predictor(demo, candidates, latency, model="physics").mean(candidates)
    )


def test_input_that_cannot_be_fitted_is_refused(demo: Space, ofa: Space) -> None:
    candidates = drawn(demo, 6, 13)
    good = np.arange(1.0, 7.0)
    for values, words in (
        (good[:5], "one value for each"),
        (np.where(good == 2, np.nan, good), "value 1 is nan"),
        (np.where(good == 3, np.inf, good), "value 2 is inf"),
        (good - 1, "above zero"),
    ):
        with pytest.raises(InputError, match=words):
            fit_predictor(demo, candidates, values)
    with pytest.raises(InputError, match="0 to 100"):
        fit_predictor(demo, candidates, good * 20, metric="accuracy_top1")
    with pytest.raises(InputError, match="3 distinct candidates"):
        fit_predictor(demo, candidates[[0, 0, 0, 1]], good[:4])
    with pytest.raises(InputError, match="space"):
        fit_predictor(ofa, candidates, good)
    with pytest.raises(InputError, match="did you mean 'xgboost'"):
        fit_predictor(demo, candidates, good, model="xgbost")
    with pytest.raises(InputError, match="not accuracies"):
        fit_predictor(demo, candidates, good, metric="accuracy_top1", model="physics")
    with pytest.raises(InputError, match="standard errors"):
        fit_predictor(demo, candidates, good, noise=-1.0)
    predictor = fit_predictor(demo, candidates, good, model="physics")
    with pytest.raises(InputError, match="coverage"):
        predictor.predict(candidates, 1.0)
    with pytest.raises(InputError, match="for space 'demo'"):
        predictor.mean(drawn(ofa, 2, 0))


def test_files_that_hold_no_predictor_are_refused(demo: Space, tmp_path: Path) -> None:
    candidates = drawn(demo, 12, 14)
    path = tmp_path / "p.json"
    for model in ("gp", "xgboost"):
        fit_predictor(demo, candidates, true_latency_ms(candidates, 0), model=model).save(path)
        good = json.loads(path.read_text())
        for key in good:
            for wrong in (None, "x", -1, [], {}):
                bad = {**good, key: wrong}
                if (key, wrong) in (("metric", "x"), ("model", "x"), ("num_measurements", -1)):
                    continue
                if key in ("metric", "model", "num_classes", "num_measurements") or bad == good:
                    continue
                with pytest.raises(InputError):
                    FittedPredictor.from_json(bad)
        for key in good["regressor"]:
            with pytest.raises(InputError):
                FittedPredictor.from_json({**good, "regressor": {**good["regressor"], key: "x"}})
    for text in ("", "[]", "\x80\x04", path.read_text()[:-100]):
        path.write_text(text)
        with pytest.raises(InputError, match=r"p\.json"):
            load_predictor(path)
    with pytest.raises(InputError, match="cannot read"):
        load_predictor(tmp_path / "missing.json")


def test_importing_loads_nothing_heavy() -> None:
    heavy = ("scipy", "sklearn", "xgboost", "torch", "tvm", "onnxruntime")
    code = f"import sys, hwnas.predictors; sys.exit(str([m for m in {heavy} if m in sys.modules] or ''))"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() in ("", "[]")
