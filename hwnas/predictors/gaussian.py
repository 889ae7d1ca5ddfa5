"""The Gaussian process model: candidates in, targets out."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from hwnas.predictors.bases import Inputs, Shares
from hwnas.predictors.design import FEATURE_SETS, Design, FeatureSet
from hwnas.predictors.features import Floats, Ints
from hwnas.predictors.gp import Hyperparameters, Posterior, Training
from hwnas.predictors.gp_tuning import fit_posterior
from hwnas.predictors.model import SMALLEST_DEVIATION, Model
from hwnas.predictors.physics import Expectation
from hwnas.spaces import Candidates, Space

# A fit keeps 1,500; what predicts takes the square of them in memory, and the cube in time.
_MOST_POINTS = 4096


class SmoothTerm(NamedTuple):
    """One smooth part: the sum over training points of `weight x correlation with it`.

    Attributes:
        way: float64 [columns of the encoding, F], to where distances are in units of length scales.
        weights: float64 [N], in targets.
        is_rough: its length scales are short.
    """

    way: Floats
    weights: Floats
    is_rough: bool


@dataclass(frozen=True, eq=False)
class GaussianProcess(Model):
    """A Gaussian process on one of the feature sets, kept as its training points.

    Attributes:
        design: the features and the training candidates.
        targets: float64 [N].
        spread: float64 [N], noise variance of each point over the typical one.
        hyper: hyperparameters, for standardised targets.
        slope: by how much the logarithm of the noise rises with that of the expected value: devices
            that wait for launches are noisy where networks are small.
    """

    design: Design
    targets: Floats
    spread: Floats
    hyper: Hyperparameters
    slope: float = 0.0

    @staticmethod
    def fit(
        features: FeatureSet,
        inputs: Inputs,
        targets: Floats,
        rng: np.random.Generator,
        *,
        noise: Floats | None = None,
        robust: bool = False,
        start: Hyperparameters | None = None,
    ) -> "GaussianProcess":
        """Returns the process fitted to targets [N].

        Args:
            features: the feature set.
            inputs: the training candidates, with the physics in use.
            targets: float64 [N].
            rng: for the choice of tuning points.
            noise: standard errors of the targets [N] as far as known; None: no idea.
            robust: weigh outliers down.
            start: hyperparameters of a like problem, to save time.
        """
        design = Design(features, inputs)
        spread, typical = np.ones(len(targets)), None
        if noise is not None:
            root = max(float(np.sqrt(np.mean(np.square(noise)))), SMALLEST_DEVIATION)
            spread, typical = np.maximum(np.square(noise / root), 1e-4), root / _deviation(targets)
        training = _training(design, targets, spread)
        scale = _noise_scale(inputs, inputs) if robust else None
        posterior, slope = fit_posterior(
            training, rng, noise=typical, robust=robust, scale=scale, start=start
        )
        return GaussianProcess(design, targets, posterior.training.spread, posterior.hyper, slope)

    def mean(self, inputs: Inputs) -> Floats:
        """Returns the expected target [n]."""
        posterior = self._posterior
        mean = posterior.smooth_part(self.design.smooth(inputs)) @ posterior.weights + posterior.constant
        for product in self._mean_products:
            mean += product(inputs)[:, 0]
        expected: Floats = self.targets.mean() + _deviation(self.targets) * mean
        return expected

    def mean_and_deviation(self, inputs: Inputs) -> tuple[Floats, Floats]:
        """Returns the expected target [n] and the standard deviation [n] of one measurement."""
        posterior, scale = self._posterior, _deviation(self.targets)
        covariances = posterior.smooth_part(self.design.smooth(inputs))
        for product in self._covariance_products:
            covariances += product(inputs)
        norms = [
            basis.squared_norms(inputs) / norm
            for basis, norm in zip(self.design.bases, self.design.norms, strict=True)
        ]
        noise = np.exp(2 * self.hyper.noise) * self._noise(inputs)
        variance = posterior.variance(covariances, norms) + noise
        mean = self.targets.mean() + scale * (covariances @ posterior.weights + posterior.constant)
        return mean, np.maximum(scale * np.sqrt(variance), SMALLEST_DEVIATION)

    def left_out(self, groups: Ints) -> tuple[Floats, Floats]:
        """Returns the expected target [N] and deviation [N] of each training point without its group.

        Length scales and amplitudes are those of all points. Groups are numbers [N] from 0.
        """
        scale = _deviation(self.targets)
        residuals, variances = self._posterior.groups_left_out(groups, self._noise(self.design.training))
        return self.targets - scale * residuals, np.maximum(scale * np.sqrt(variances), SMALLEST_DEVIATION)

    def to_json(self) -> dict[str, Any]:
        """Returns training points and hyperparameters."""
        candidates = self.design.training.candidates
        return {
            "kind": "gaussian_process",
            "features": self.design.features,
            "genomes": candidates.genomes.tolist(),
            "weight_bits": candidates.weight_bits.tolist(),
            "activation_bits": candidates.activation_bits.tolist(),
            "targets": self.targets.tolist(),
            "spread": self.spread.tolist(),
            "slope": self.slope,
            "hyperparameters": {
                "smooth": list(self.hyper.smooth),
                "linear": list(self.hyper.linear),
                "noise": self.hyper.noise,
                "lengths": list(self.hyper.lengths),
            },
        }

    @staticmethod
    def of_json(fields: dict[str, Any], space: Space, physics: Expectation | None) -> "GaussianProcess":
        """Returns the process that `to_json` described; KeyError, TypeError or ValueError if malformed."""
        if fields["features"] not in FEATURE_SETS:
            raise ValueError(f"unknown feature set {fields['features']!r}")
        if physics is None and fields["features"] in ("runtime", "layers"):
            raise ValueError("features of run time need physics")
        candidates = _candidates(fields, space)
        design = Design(fields["features"], Inputs(candidates, physics))
        hyper = fields["hyperparameters"]
        smooth = hyper["smooth"]
        if not isinstance(smooth, list):  # files of before 2026-12: one, whether in use or not
            smooth = [smooth][: len(design.parts)]
        found = Hyperparameters(
            tuple(map(float, smooth)),
            tuple(map(float, hyper["linear"])),
            float(hyper["noise"]),
            tuple(map(float, hyper["lengths"])),
        )
        counts = len(found.smooth), len(found.linear), len(found.lengths)
        num_lengths = sum(part.num_lengths for part in design.parts)
        if counts != (len(design.parts), len(design.bases), num_lengths):
            raise ValueError("hyperparameters do not fit the feature set")
        targets, spread = (_finite(fields[name], len(candidates)) for name in ("targets", "spread"))
        slope = float(fields.get("slope", 0.0))
        if not np.isfinite(slope):
            raise ValueError("the slope of the noise must be finite")
        process = GaussianProcess(design, targets, spread, found, slope)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            # Solved now, where hyperparameters that nothing can be solved with are refused.
            if not np.isfinite(process._posterior.weights).all():
                raise ValueError("nothing can be solved with these hyperparameters")
        return process

    def linear_weights(self) -> tuple[list[Floats], float]:
        """Returns the weights [L] of each linear part and the constant, for a process with no smooth part.

        The expected target is the constant plus the sum of `rows @ weights`.
        """
        assert not self.design.parts, "a smooth part is not linear"
        posterior, scale = self._posterior, _deviation(self.targets)
        weights = [scale * factor * (rows.T @ posterior.weights) for _, rows, factor in self._linear()]
        return weights, float(self.targets.mean() + scale * posterior.constant)

    def share_products(self) -> list[tuple[Shares, Floats]]:
        """Returns the linear parts that are shares of operations, with their weights [L] in targets."""
        posterior, scale = self._posterior, _deviation(self.targets)
        return [
            (basis, scale * factor * (rows.T @ posterior.weights))
            for basis, rows, factor in self._linear()
            if isinstance(basis, Shares)
        ]

    def smooth_terms(self) -> list[SmoothTerm]:
        """Returns the smooth parts of a process on choices, as functions of the encoding; else none."""
        if self.design.features != "quality":
            return []
        way, parts, scale = self.design.smooth_from_encoding, self.design.parts, _deviation(self.targets)
        return [
            SmoothTerm(
                part.of(way) * np.exp(-lengths)[part.groups],
                scale * np.exp(2 * amplitude) * self._posterior.weights,
                part.reach < 1,
            )
            for part, lengths, amplitude in zip(
                parts, self.hyper.lengths_of(parts), self.hyper.smooth, strict=True
            )
        ]

    @property
    def log_evidence(self) -> float:
        """The log density of the training targets, up to a constant: compares links and features."""
        return self._posterior.log_evidence - len(self.targets) * float(np.log(_deviation(self.targets)))

    def _noise(self, inputs: Inputs) -> Floats:
        """The noise variance of candidates [n] over the typical one."""
        noise: Floats = np.exp(2 * self.slope * _noise_scale(inputs, self.design.training))
        return noise

    @cached_property
    def _posterior(self) -> Posterior:
        return Posterior(_training(self.design, self.targets, self.spread), self.hyper)

    @cached_property
    def _mean_products(self) -> list[Callable[[Inputs], Floats]]:
        weights = self._posterior.weights[:, None]
        return [basis.product(rows.T @ weights * factor) for basis, rows, factor in self._linear()]

    @cached_property
    def _covariance_products(self) -> list[Callable[[Inputs], Floats]]:
        return [basis.product(rows.T * factor) for basis, rows, factor in self._linear()]

    def _linear(self) -> Iterable[tuple[Any, Floats, float]]:
        factors = [
            float(np.exp(2 * amplitude)) / norm
            for amplitude, norm in zip(self.hyper.linear, self.design.norms, strict=True)
        ]
        return zip(self.design.bases, self.design.rows, factors, strict=True)


def _training(design: Design, targets: Floats, spread: Floats) -> Training:
    standard = (targets - targets.mean()) / _deviation(targets)
    return Training(design.smooth(design.training), design.parts, design.grams, standard, spread)


def _noise_scale(inputs: Inputs, training: Inputs) -> Floats:
    """The logarithm of what is expected, centred on training and held within what was seen there."""
    seen = np.log(training.expected)
    scale: Floats = np.clip(np.log(inputs.expected), seen.min(), seen.max()) - seen.mean()
    return scale


def _deviation(targets: Floats) -> float:
    return max(float(targets.std()), SMALLEST_DEVIATION)


def _candidates(fields: dict[str, Any], space: Space) -> Candidates:
    genomes = np.array(fields["genomes"], dtype=np.int64)
    if genomes.ndim != 2 or genomes.shape[1] != len(space.genes) or not len(genomes):
        raise ValueError("genomes do not fit the space")
    if len(genomes) > _MOST_POINTS:
        raise ValueError(f"it must be fitted on at most {_MOST_POINTS} points, but has {len(genomes)}")
    if (genomes < 0).any() or (genomes >= space.choice_counts).any():
        raise ValueError("genomes hold choices the space does not have")
    bits = [np.array(fields[name], dtype=np.int64) for name in ("weight_bits", "activation_bits")]
    if any(b.shape != (len(genomes), len(space.slots)) or (b < 1).any() or (b > 32).any() for b in bits):
        raise ValueError("bits do not fit the space")
    return Candidates.of_genomes(space, genomes, *bits)


def _finite(values: Any, count: int) -> Floats:
    array = np.array(values, dtype=np.float64)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise ValueError(f"must hold {count} finite numbers")
    return array
