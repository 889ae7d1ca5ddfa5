"""A device that measures for real, in a worker process, and takes no processor for it: it sleeps.

On a machine that other jobs share, real devices come out unstable, and what befalls them is slow to
try. The folder `plugins` registers it as
an outside package's device is.
"""

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from hwnas.profilers import Device, Fingerprint, Meter, Protocol
from hwnas.profilers.measurement import Kind
from hwnas.profilers.measuring.worker_meter import worker_meter
from hwnas.spaces import Layer, Network, Space

_S_A_LAYER = 5e-4
# However little a sleep is to be relied on.
_ANY = 1e9


def sleeper(_space: Space | None) -> Device:
    """Returns the device."""
    return Sleeper()


class Sleeper(Device):
    """Runs a network by sleeping a while for each layer."""

    name = "sleeper"
    runtime = "sleep"
    kind: Kind = "measured"
    bits = (32,)

    def unavailable(self) -> str | None:
        """Returns None."""
        return None

    def fingerprint(self) -> Fingerprint:
        """Returns its name."""
        return Fingerprint({"device": self.name})

    def refusal(self, layer: Layer) -> str | None:
        """Returns why a layer of few bits is refused."""
        return None if layer.weight_bits == 32 else "it sleeps in 32 bits only"

    def canary(self) -> Network | None:
        """Returns None: nothing disturbs a sleep."""
        return None

    def build(self, network: Network, folder: Path) -> Path:
        """Returns a text that says for how long to sleep."""
        path = folder / "artefact"
        path.write_text(f"sleep {len(network.layers) * _S_A_LAYER}")
        return path

    def meter(self, protocol: Protocol) -> AbstractContextManager[Meter]:
        """Returns a meter that takes ten samples, whatever they are."""
        few = replace(protocol, samples_least=10, samples_most=10, warmup_samples=1, warmup_ms=1.0)
        any_ = replace(few, sample_ms=0.01, settling_ms=0.0, ci_percent=_ANY, tail_ratio=_ANY)
        runner = "tests.profilers.measuring.fake_runner"
        return worker_meter(self.name, runner, self.fingerprint(), any_, settings={"here": False})
