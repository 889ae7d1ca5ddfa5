"""Networks in TVM's virtual machine on a device that is not this process's own processor."""

import json
from typing import Any, final

import numpy as np

from hwnas.profilers.measuring.runner import Runner


@final
class StatefulRunner(Runner):
    """A network whose input lies on its device, timed by that device's clock.

    So neither the way to it nor Python's own cost is in its times.
    """

    def __init__(self, machine: Any, device: Any) -> None:
        """Takes a `relax.VirtualMachine` and the device that it was made on."""
        import tvm

        self._machine, self._device = machine, device
        shape = json.loads(str(machine["describe"]()))["input_shape"]
        image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        machine.set_input("main", tvm.runtime.tensor(image, device))
        self._clocks: dict[int, Any] = {}

    def run(self) -> None:
        """Runs the network once and waits for it."""
        self._machine.invoke_stateful("main")
        self._device.sync()

    def time_ms(self, calls: int) -> float:
        """Returns the mean time of so many calls, after one that is not counted."""
        if calls not in self._clocks:
            self._clocks[calls] = self._machine.time_evaluator(
                "invoke_stateful", self._device, number=calls, repeat=1
            )
        return float(self._clocks[calls]("main").mean) * 1e3

    def output(self) -> np.ndarray[Any, Any]:
        """Returns what the last run gave."""
        logits: np.ndarray[Any, Any] = self._machine.get_outputs("main").numpy()
        return logits
