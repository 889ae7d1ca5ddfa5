"""Networks kept from one use to the next, the last ones while there is room."""

import threading

from hwnas.spaces import Network

KEEP_BYTES = 2**26


class KeptNetworks:
    """Networks by the id of their candidate; the oldest give way. Threads may share one of these."""

    def __init__(self, keep_bytes: int = KEEP_BYTES) -> None:
        self._room = keep_bytes
        self._kept: dict[str, Network] = {}
        self._lock = threading.Lock()

    def get(self, id: str) -> Network | None:
        """Returns a network; None where it is not kept."""
        with self._lock:
            return self._kept.get(id)

    def keep(self, id: str, network: Network) -> None:
        """Keeps a network, which nobody may change from now on."""
        with self._lock:
            if id in self._kept:
                return
            self._kept[id] = network
            self._room -= _size_bytes(network)
            while self._room < 0:
                oldest = next(iter(self._kept))
                self._room += _size_bytes(self._kept.pop(oldest))


def _size_bytes(network: Network) -> int:
    return sum(weight.nbytes for weight in network.weights.values())
