"""The command line inside the test's process, as in tests/cli, and measurements made elsewhere."""

import json
from pathlib import Path

import pytest

from hwnas.spaces import get_space
from tests.cli.conftest import hwnas
from tests.predictors.truth import drawn, true_accuracy, true_latency_ms

__all__ = ["hwnas", "measured"]


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A CSV file of latencies and accuracies of demo networks."""
    some = drawn(get_space("demo"), 60, 0, mixed=False)
    lines = ["architecture,latency_ms,accuracy_top1"]
    networks = some.space.architectures(some.genomes)
    for one, ms, accuracy in zip(networks, true_latency_ms(some, 0), true_accuracy(some, 0), strict=True):
        text = json.dumps(one.to_json()).replace('"', '""')
        lines.append(f'"{text}",{ms},{accuracy}')
    (tmp_path / "measured.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "measured.csv"
