"""Peak memory of compiled subnets: the storages that calls share, and what kernels allocate themselves."""

import math
from collections.abc import Sequence

from hwnas.profilers.memory import PlannedMemory
from hwnas.profilers.tvm.compiled.assemble import calls_of, place_values
from hwnas.profilers.tvm.compiled.library import Library
from hwnas.spaces import Layer

_FLOAT_BYTES = 4


def planned_memory(layers: Sequence[Layer], library: Library) -> PlannedMemory:
    """Returns the memory of a whole network, whose image and logits are float32.

    Raises:
        InputError: a layer the library has no kernels for.
    """
    calls = calls_of(layers, library.plan)
    _, _, sizes = place_values(calls)
    return PlannedMemory(
        image_bytes=_FLOAT_BYTES * layers[0].in_channels * layers[0].in_size_px ** 2,
        map_bytes=sum(sizes),
        output_bytes=_FLOAT_BYTES * math.prod(calls[-1].out_shape),
        workspace_bytes=max(library.kernels[call.kernel].workspace_bytes for call in calls),
    )
