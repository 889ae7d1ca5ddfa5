"""A small exported model, and images for it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwnas.export.accuracy import accuracy
from hwnas.export.claims import Claims
from hwnas.export.gate import file_logits
from hwnas.export.onnx import export_onnx
from hwnas.export.verify import Batches
from hwnas.profilers import get_device
from hwnas.spaces import Candidates, get_space, random_network

SPACE = get_space("demo")
Export = Callable[..., Path]


@pytest.fixture(scope="session")
def batches() -> Callable[[str, int], Batches]:
    def give(split: str, size_px: int) -> Batches:
        rng = np.random.default_rng(len(split))
        for _ in range(2):
            yield (
                rng.standard_normal((20, 3, size_px, size_px)).astype(np.float32),
                rng.integers(0, 10, 20).astype(np.int64),
            )

    return give


@pytest.fixture
def export(tmp_path: Path, batches: Callable[[str, int], Batches]) -> Export:
    """Writes the smallest network with true claims, or with some of them replaced."""

    def write(bits: int = 32, latency_ms: float = 1e3, **changes: object) -> Path:
        candidates = Candidates.of_architectures(SPACE, [SPACE.smallest()], bits)
        network = random_network(candidates.layers(0))
        path = export_onnx(network, tmp_path / "model.onnx")
        truth = accuracy(file_logits(path), batches("test", 32))
        candidate = candidates.unpack()[0]
        claims = {
            "architecture": candidate.architecture.to_json(),
            "bits": candidate.bits.to_json(),
            "accuracy_top1": truth.figure("test"),
            "device": "cpu-ort",
            "device_fingerprint": get_device("cpu-ort").fingerprint().digest,
            "latency_ms": {"value": latency_ms, "p95": latency_ms, "kind": "measured"},
        }
        metadata = Claims(**{**claims, **changes}).to_metadata()
        return export_onnx(network, path, metadata)

    return write
