"""Block mode: every block of a space measured alone, and what the sums are worth for whole networks.

Where blocks add up, a chain takes `start + entry(first map) + sum of its blocks + exit(last map)`:
a runtime starts once a network, and it takes maps in and hands them out (copies them into its own
layout, quantizes them) only at a network's two ends. A block alone pays for all of that, a block
inside a network for none of it. So for every map that lies between two blocks one pair is measured
as a chain of two. `saving = T(a) + T(b) - T(a, b)` is then start, exit and entry at that map, and a
block's row is its time alone less half the saving at the map it reads and half of that at the map
it makes. Along a chain the halves add up to what the joints save, whatever the parts of a saving
are. The image and the classes lie between no two blocks; there half of the start is taken off,
which is the least saving that a map of no size would have (the intercept of a line). What is left
of a network, its head and tail and one start, is the table's constant; it is fitted on whole
networks, since no block can show it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import InputError
from hwnas.profilers.device import Device
from hwnas.profilers.measurement import Measurement
from hwnas.profilers.tables import BlockCost, BlockTable, block_key
from hwnas.spaces import Candidates, Layer, Space, subject_key

# What is less than the clock can tell is written as a nanosecond: rows must be above zero.
LEAST_MS = 1e-6
# The rule of when sums over a table may be relied on.
LEAST_RHO = 0.97
MOST_NOISES = 2.0
SOURCE = "measured"

Chain = tuple[Layer, ...]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Joint:
    """A map between two blocks: channels, side in px, bits."""

    channels: int
    size_px: int
    bits: int

    @property
    def elements(self) -> int:
        """Numbers in the map."""
        return self.channels * self.size_px**2


@dataclass(frozen=True)
class BlockPlan:
    """What block mode measures.

    Attributes:
        alone: the chain of one layer for each block, by `block_key`.
        joints: a chain of two for each map between blocks, of the pair with the least work.
        bits: the bitwidths.
        refused: blocks that the device cannot run, which the table lacks.
    """

    alone: Mapping[Layer, Chain]
    joints: Mapping[Joint, Chain]
    bits: tuple[int, ...]
    refused: tuple[Layer, ...] = ()

    @property
    def chains(self) -> list[Chain]:
        """All that is measured."""
        return [*self.alone.values(), *self.joints.values()]


@dataclass(frozen=True)
class Validity:
    """Whether an additive model may be relied on, by what it says of networks it was not fitted on.

    Attributes:
        rho: Spearman's rank correlation with the measured times; None where either is constant.
        mape_percent: mean absolute error in percent of the measured times.
        noise_percent: how far two measurements of one network lie apart, in percent.
        n: networks.
    """

    rho: float | None
    mape_percent: float
    noise_percent: float
    n: int

    @property
    def valid(self) -> bool:
        """Whether rho is at least 0.97 and the error within twice the repeat noise."""
        near = self.mape_percent <= MOST_NOISES * self.noise_percent
        return self.rho is not None and self.rho >= LEAST_RHO and near

    @property
    def text(self) -> str:
        """One line: the verdict and its figures."""
        rho = "-" if self.rho is None else f"{self.rho:.3f}"
        return (
            f"{'yes' if self.valid else 'no'} (rho {rho}, at least {LEAST_RHO}; MAPE "
            f"{self.mape_percent:.2f} %, at most {MOST_NOISES:g} x the repeat noise of "
            f"{self.noise_percent:.2f} %; {self.n} networks)"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns verdict and figures."""
        return {
            "valid": self.valid,
            "rho": self.rho,
            "mape_percent": self.mape_percent,
            "repeat_noise_percent": self.noise_percent,
            "n": self.n,
        }


def block_plan(device: Device, space: Space, bits: Sequence[int]) -> BlockPlan:
    """Returns what is to be measured for a table of a space's whole vocabulary at these bitwidths."""
    alone: dict[Layer, Chain] = {}
    refused: list[Layer] = []
    joints: dict[Joint, Chain] = {}
    for width in bits:
        layers = [_at_bits(layer, width) for layer in space.vocabulary]
        runnable = [layer for layer in layers if device.refusal(layer) is None]
        for layer in runnable:
            alone.setdefault(block_key(layer), (layer,))
        refused += [layer for layer in layers if device.refusal(layer)]
        joints |= _joints(runnable, width)
    return BlockPlan(alone, joints, tuple(bits), tuple(refused))


def block_table(device: Device, plan: BlockPlan, measured: Mapping[str, Measurement]) -> BlockTable:
    """Returns the table of what was measured; its constant is one start of the runtime, if any.

    Args:
        device: where it was measured.
        plan: of `block_plan`.
        measured: by subject key; all of the plan's chains.
    """

    def time_ms(*layers: Layer) -> float:
        return measured[subject_key(layers)].latency_ms

    savings = {
        joint: max(0.0, time_ms(first) + time_ms(second) - time_ms(first, second))
        for joint, (first, second) in plan.joints.items()
    }
    start_ms = _start_ms(savings)

    def halves_ms(layer: Layer) -> float:
        # Without weights a block has no bits of its own, and joins those of any.
        bits = layer.activation_bits if layer.quantizable else plan.bits[0]
        return sum(savings.get(joint, start_ms) for joint in (_read(layer, bits), _made(layer, bits))) / 2

    rows = {
        key: BlockCost(max(LEAST_MS, time_ms(layer) - halves_ms(layer)), source=SOURCE)
        for key, (layer,) in plan.alone.items()
    }
    constant = BlockCost(start_ms, source=SOURCE) if start_ms > 0 else None
    return BlockTable(device.name, rows, constant, device.batch)


def checked_table(
    table: BlockTable, candidates: Candidates, measured_ms: Floats, noise_percent: float
) -> tuple[BlockTable, Validity]:
    """Returns the table with its constant fitted on whole networks, and whether its sums are valid.

    Each network is predicted with the constant of the others, the median of what their sums lack.

    Args:
        table: of `block_table`.
        candidates: n networks.
        measured_ms: [n] their times.
        noise_percent: of `repeat_noise_percent`.

    Raises:
        InputError: the table lacks a block of a candidate, or there are fewer than three networks.
    """
    if len(measured_ms) < 3:
        raise InputError(
            f"a table is compared with at least 3 whole networks, but got {len(measured_ms)}; raise --samples"
        )
    sums = replace(table, constant=None).latency_ms(candidates)
    lacks = measured_ms - sums
    of_others = np.array([np.median(np.delete(lacks, row)) for row in range(len(lacks))])
    predicted = sums + of_others
    constant_ms = float(np.median(lacks))
    found = Validity(
        rho=_rho(predicted, measured_ms),
        mape_percent=float(100 * np.mean(np.abs(predicted / measured_ms - 1))),
        noise_percent=noise_percent,
        n=len(measured_ms),
    )
    constant = BlockCost(constant_ms, source="fitted on whole networks") if constant_ms > 0 else None
    return replace(table, constant=constant, validity=found.text), found


def repeat_noise_percent(first_ms: Floats, second_ms: Floats) -> float:
    """Returns how far two measurements [n] of the same networks lie apart, in percent: the median.

    One repetition that something disturbed must not make a table valid.
    """
    return float(100 * np.median(2 * np.abs(first_ms - second_ms) / (first_ms + second_ms)))


def repeated_rows(measured_ms: Floats, num_repeated: int = 12) -> list[int]:
    """Returns the networks to measure once more: spread evenly from the fastest to the slowest."""
    order = np.argsort(measured_ms, kind="stable")
    picked = np.linspace(0, len(order) - 1, min(num_repeated, len(order))).round().astype(int)
    return sorted({int(order[at]) for at in picked})


def _joints(layers: Sequence[Layer], bits: int) -> dict[Joint, Chain]:
    """For each map that one block makes and another reads, the pair with the least work."""
    making: dict[Joint, Layer] = {}
    reading: dict[Joint, Layer] = {}
    for layer in sorted(layers, key=_work):
        reading.setdefault(_read(layer, bits), layer)
        making.setdefault(_made(layer, bits), layer)
    return {
        joint: (replace(making[joint], name="block"), replace(reading[joint], name="next"))
        for joint in making
        if joint in reading
    }


def _at_bits(layer: Layer, bits: int) -> Layer:
    if not layer.quantizable:
        return replace(layer, name="block")
    return replace(layer, weight_bits=bits, activation_bits=bits, name="block")


def _read(layer: Layer, bits: int) -> Joint:
    return Joint(layer.in_channels, layer.in_size_px, bits)


def _made(layer: Layer, bits: int) -> Joint:
    return Joint(layer.out_channels, layer.out_size_px, bits)


def _work(layer: Layer) -> int:
    """Multiply-accumulates, and elements made for what has none."""
    return sum(op.macs + op.out_channels * op.out_size_px**2 for op in layer.ops)


def _start_ms(savings: Mapping[Joint, float]) -> float:
    """What joining saves at a map of no size: the intercept of a robust line, never below zero.

    Source: Theil and Sen's estimator, the median of the slopes between all pairs.
    """
    sizes = np.array([joint.elements for joint in savings], dtype=np.float64)
    times = np.array(list(savings.values()))
    if len(np.unique(sizes)) < 2:
        return float(times.min()) if len(times) else 0.0
    left, right = np.triu_indices(len(sizes), 1)
    apart = sizes[left] != sizes[right]
    slopes = ((times[left] - times[right])[apart]) / ((sizes[left] - sizes[right])[apart])
    return max(0.0, float(np.median(times - max(0.0, float(np.median(slopes))) * sizes)))


def _rho(left: Floats, right: Floats) -> float | None:
    from scipy import stats

    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(stats.spearmanr(left, right)[0])
