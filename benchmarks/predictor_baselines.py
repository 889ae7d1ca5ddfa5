"""Baselines of the predictor benchmark: what older tools and plain libraries do, as functions.

Each takes training candidates, their values [N] and test candidates, and returns predictions [n].
Latencies are fitted in the logarithm, accuracies as they are, except where a method says otherwise.
"""

from collections.abc import Callable

import numpy as np

from hwnas.predictors.bases import Inputs
from hwnas.predictors.features import TOTALS, Floats, encoding, one_hot, totals
from hwnas.spaces import Candidates

Fit = Callable[[Candidates, Floats, Candidates], Floats]
# A Gaussian process of scikit-learn tunes itself on all points: cubic, dozens of times.
_GP_POINTS = 600


def is_latency(values: Floats, candidates: Candidates) -> bool:
    # The accuracies of the public file are percentages from 70 to 80; no latency setting is like that.
    return not (values.min() > 60 and values.max() < 85)


def ridge_on_macs(train: Candidates, values: Floats, test: Candidates) -> Floats:
    from sklearn.linear_model import LinearRegression

    columns = [one.costs().macs[:, None].astype(np.float64) for one in (train, test)]
    return np.asarray(LinearRegression().fit(columns[0], values).predict(columns[1]))


def ridge_on_totals(train: Candidates, values: Floats, test: Candidates) -> Floats:
    from sklearn.linear_model import RidgeCV

    return _on_logs(RidgeCV(alphas=np.logspace(-4, 3, 15)), _log_totals, train, values, test)


def boosting_on_totals(train: Candidates, values: Floats, test: Candidates) -> Floats:
    return _on_logs(_boosting(), _log_totals, train, values, test)


def boosting_on_choices(train: Candidates, values: Floats, test: Candidates) -> Floats:
    return _on_logs(_boosting(), one_hot, train, values, test)


def block_linear(train: Candidates, values: Floats, test: Candidates) -> Floats:
    """A worth for each block in each place, times 1, r and r²: a look-up table found by regression."""
    from sklearn.linear_model import RidgeCV

    def columns(candidates: Candidates) -> Floats:
        size = totals(candidates)[:, TOTALS.index("image_size")] / 224
        blocks = _blocks(candidates)
        return np.concatenate([blocks * (size**power)[:, None] for power in (0, 1, 2)], axis=1)

    model = RidgeCV(alphas=np.logspace(-4, 3, 15)).fit(columns(train), values)
    return np.asarray(model.predict(columns(test)))


def stacked(train: Candidates, values: Floats, test: Candidates) -> Floats:
    """A stack of ridge and support-vector regression on choices, as DyNAS-T's predictors are."""
    from sklearn.ensemble import StackingRegressor
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVR

    vectors = make_pipeline(StandardScaler(), SVR(C=10.0, epsilon=0.02, gamma="scale"))
    folds = max(2, min(5, len(values) // 4))
    model = StackingRegressor([("ridge", RidgeCV()), ("svr", vectors)], Ridge(1e-3), cv=folds)
    return _on_logs(model, one_hot, train, values, test)


def gaussian_process(train: Candidates, values: Floats, test: Candidates) -> Floats:
    """A Gaussian process with one length scale and noise on the encoding."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
    from sklearn.utils._testing import ignore_warnings

    kernel = ConstantKernel(1.0, (1e-3, 1e4)) * RBF(3.0, (0.1, 1e3)) + WhiteKernel(0.1, (1e-5, 10.0))
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    some = np.random.default_rng(0).permutation(len(values))[:_GP_POINTS]
    fit = ignore_warnings(category=ConvergenceWarning)(_on_logs)
    return np.asarray(fit(model, encoding, train[some], values[some], test))


def perceptron(train: Candidates, values: Floats, test: Candidates) -> Floats:
    """Three hidden layers of 400 on choices."""
    from hwnas.predictors.neural_training import fit_perceptron

    logged = is_latency(values, train)
    model = fit_perceptron(Inputs(train), np.log(values) if logged else values, 0)
    mean = model.mean(Inputs(test))
    return np.exp(mean) if logged else mean


BASELINES: dict[str, Fit] = {
    "MACs, linear": ridge_on_macs,
    "ridge on totals": ridge_on_totals,
    "block-linear x (1, r, r2)": block_linear,
    "XGBoost one-hot": boosting_on_choices,
    "XGBoost on totals": boosting_on_totals,
    "ridge/SVR stack (DyNAS-T)": stacked,
    "plain GP": gaussian_process,
    "MLP 3x400": perceptron,
}


def _boosting() -> object:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=300, max_depth=4, learning_rate=0.05, subsample=0.8, n_jobs=1)


def _on_logs(
    model: object,
    columns: Callable[[Candidates], Floats],
    train: Candidates,
    values: Floats,
    test: Candidates,
) -> Floats:
    left, right = columns(train), columns(test)
    center, deviation = left.mean(axis=0), left.std(axis=0)
    varies = deviation > 1e-9
    left, right = ((part - center)[:, varies] / deviation[varies] for part in (left, right))
    logged = is_latency(values, train)
    fitted = model.fit(left, np.log(values) if logged else values)  # type: ignore[attr-defined]
    mean = fitted.predict(right).astype(np.float64)
    return np.asarray(np.exp(np.clip(mean, -20, 20)) if logged else mean)


def _log_totals(candidates: Candidates) -> Floats:
    return np.log1p(totals(candidates))


def _blocks(candidates: Candidates) -> Floats:
    """A column of 0 and 1 for each block, whatever its map's size, in each slot."""
    space, ids = candidates.space, candidates.layer_ids
    kinds = [(one.kind, one.kernel, one.mid_channels, one.out_channels) for one in space.vocabulary]
    number = {kind: row for row, kind in enumerate(dict.fromkeys(kinds))}
    kind_of = np.array([*(number[kind] for kind in kinds), len(number)])
    found = []
    for slot in range(ids.shape[1]):
        kind = kind_of[ids[:, slot]]
        possible = np.unique(kind_of[np.unique(space.tables.tables[slot])])
        found.append((kind[:, None] == possible[possible < len(number)]).astype(np.float64))
    return np.concatenate(found, axis=1)
