"""Own accelerator: a CSV of block costs becomes a device, and a predictor of whole networks on it.

python examples/own_table.py TABLE.csv SPACE BITS
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import hwnas


def main(table: str, space_name: str, bits: str) -> None:
    """Prints the fastest of a thousand networks, and how well a predictor does on those unseen."""
    space = hwnas.open_space(space_name)
    device = hwnas.get_device(f"table:{table}", space)
    rng = np.random.default_rng(0)
    networks = hwnas.Candidates.of_architectures(space, space.sample(80, rng), int(bits))
    with tempfile.TemporaryDirectory() as folder, hwnas.Store(Path(folder) / "store.sqlite") as store:
        measured = [one.latency_ms for one in hwnas.profile(device, networks, store)]
    predictor = hwnas.fit_predictor(space, networks[:60], measured[:60])
    error = np.abs(predictor.predict(networks[60:]).mean / np.array(measured[60:]) - 1)
    print(f"{device.name}: {100 * error.mean():.1f} % off on {len(error)} networks not seen (simulated)")
    many = hwnas.Candidates.of_architectures(space, space.sample(1000, rng), int(bits))
    latency_ms = predictor.mean(many)
    fastest = int(latency_ms.argmin())
    print(f"fastest of {len(many)}: {many.ids[fastest]}, {latency_ms[fastest]:.4g} ms (predicted)")


if __name__ == "__main__":
    main(*sys.argv[1:])
