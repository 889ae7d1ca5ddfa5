"""What many measurements say together: how many are stable, and which of them predictors learn from."""

import pytest

from hwnas.profilers import Measurement
from hwnas.profilers.stability import Spread, Stability, steady_rows


def taken(latency_ms: float, raw_ms: float | None, reasons: tuple[str, ...] = ()) -> Measurement:
    return Measurement(
        subject="s",
        device="d",
        fingerprint="f",
        kind="measured",
        latency_ms=latency_ms,
        p95_ms=latency_ms,
        ci_low_ms=latency_ms,
        ci_high_ms=latency_ms,
        samples_ms=(latency_ms,),
        raw_latency_ms=raw_ms,
        verdict="unstable" if reasons else "stable",
        reasons=reasons,
        time="2026-01-01T00:00:00+00:00",
    )


def test_stability_tells_corrections_and_the_first_reason() -> None:
    found = Stability.of([taken(1.0, 1.1), taken(2.0, 2.0), taken(1.0, None, ("p95 is long", "and more"))])
    assert found.stable == 2
    assert found.unstable == 1
    assert found.first_reason == "p95 is long"
    assert found.to_json()["drift_corrected_percent"] == pytest.approx(
        {"least": 0.0, "median": 5.0, "largest": 10.0}
    )
    assert Stability.of([taken(1.0, None)]).drift_corrected_percent is None


def test_unstable_measurements_are_left_out_of_the_fit_unless_most_are() -> None:
    stable, unstable = taken(1.0, 1.0), taken(3.0, 3.0, ("busy",))
    assert steady_rows([stable, unstable, stable, stable]) == [0, 2, 3]
    assert steady_rows([stable, unstable, unstable, stable]) == [0, 1, 2, 3]
    assert steady_rows([stable, unstable]) == [0, 1]


def test_a_spread_is_of_what_is_known() -> None:
    assert Spread.of([3.0, None, 1.0, 1.5]) == Spread(least=1.0, median=1.5, largest=3.0)
    assert Spread.of([None, None]) is None
