import math

import pytest

from hwnas.search.settings import SearchSettings, Soft

BOTH = ["cpu", "cpu-ort"]


@pytest.mark.parametrize(
    ("settings", "shown", "limits"),
    [
        (SearchSettings(), None, [math.inf, math.inf]),
        (SearchSettings(target_latency_ms=25.0), 25.0, [25.0, 25.0]),
        (
            SearchSettings(target_latency_ms=25.0, device_targets_ms={"cpu": 4.0}),
            {"cpu": 4.0, "cpu-ort": 25.0},
            [4.0, 25.0],
        ),
        (SearchSettings(device_targets_ms={"cpu": 4.0}), {"cpu": 4.0}, [4.0, math.inf]),
        (SearchSettings(device_targets_ms={"cpu": 4.0, "cpu-ort": 4.0}), 4.0, [4.0, 4.0]),
        # A soft target is shown, and limits nothing.
        (SearchSettings(target_latency_ms=25.0, soft=Soft()), 25.0, [math.inf, math.inf]),
    ],
)
def test_a_front_shows_one_target_or_one_a_device(
    settings: SearchSettings, shown: object, limits: list[float]
) -> None:
    assert settings.shown_target_ms(BOTH) == shown
    assert list(settings.limits_ms(BOTH).values()) == limits


def test_settings_of_a_few_evaluations_leave_half_to_the_rounds() -> None:
    settings = SearchSettings.of(samples=None, evaluations=40, target_latency_ms=None, epsilon=0.01)
    assert (settings.initial_evaluations, settings.rounds, settings.evaluations) == (20, 2, 40)
    assert (settings.profile_samples, settings.epsilon, settings.target_latency_ms) == (80, 0.01, None)
