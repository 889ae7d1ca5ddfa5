from pathlib import Path

import numpy as np

from hwnas.predictors import fit_predictor
from hwnas.predictors.places import known_predictors, predictor_path
from hwnas.profilers import get_device
from hwnas.spaces import Space
from tests.predictors.truth import drawn, true_latency_ms


def test_other_devices_of_the_store_are_found(demo: Space, tmp_path: Path) -> None:
    store = tmp_path / "store.sqlite"
    candidates = drawn(demo, 12, 0)
    one, other = (get_device(name, demo) for name in ("fpga-zcu102-dpu", "cpu-ort"))
    assert known_predictors(one, demo, store) == []
    for device in (one, other):
        predictor = fit_predictor(demo, candidates, true_latency_ms(candidates, 0), model="physics")
        predictor.save(predictor_path(device, demo, store))
    (found,) = known_predictors(one, demo, store)
    np.testing.assert_array_equal(found.mean(candidates), predictor.mean(candidates))
    predictor_path(other, demo, store).write_text("[]")
    assert known_predictors(one, demo, store) == []
