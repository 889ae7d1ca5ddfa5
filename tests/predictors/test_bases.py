import numpy as np
import pytest

from hwnas.predictors.bases import Basis, Columns, Inputs, Shares
from hwnas.predictors.features import totals
from hwnas.predictors.physics import fit_physics
from hwnas.spaces import Space
from tests.predictors.truth import drawn, true_latency_ms


@pytest.fixture(params=["sized", "unsized", "encoding", "choices", "summary"])
def case(request: pytest.FixtureRequest, demo: Space) -> tuple[Basis, Inputs]:
    candidates = drawn(demo, 40, 0, mixed=True)
    physics = fit_physics(totals(candidates), true_latency_ms(candidates, 0))
    inputs = Inputs(candidates, physics)
    if request.param in ("sized", "unsized"):
        return Shares(demo, physics, sized=request.param == "sized"), inputs
    return Columns.around(request.param, inputs), inputs


def test_products_equal_rows_times_vectors(case: tuple[Basis, Inputs]) -> None:
    basis, inputs = case
    rows = basis.rows(inputs)
    vectors = np.random.default_rng(0).standard_normal((rows.shape[1], 3))
    np.testing.assert_allclose(basis.product(vectors)(inputs), rows @ vectors, atol=1e-12)


def test_norms_bound_the_rows(case: tuple[Basis, Inputs]) -> None:
    basis, inputs = case
    assert (basis.squared_norms(inputs) >= np.square(basis.rows(inputs)).sum(axis=1) - 1e-12).all()


def test_shares_of_the_chain_and_the_constant_make_one(demo: Space) -> None:
    candidates = drawn(demo, 40, 0, mixed=True)
    physics = fit_physics(totals(candidates), true_latency_ms(candidates, 0))
    inputs = Inputs(candidates, physics)
    outside = physics.prices[0] + inputs.totals[:, -3:-1] @ physics.prices[-2:]
    shares = Shares(demo, physics, sized=True).rows(inputs).sum(axis=1)
    np.testing.assert_allclose(shares + outside / inputs.expected, 1.0)
