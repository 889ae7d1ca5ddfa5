"""The pool of known candidates as points of device and figures, and the front over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.profilers.device import Device
from hwnas.profilers.measurement import Measurement
from hwnas.search.front import Member
from hwnas.search.goal import Figures, Goal
from hwnas.search.pareto import hypervolume, non_dominated
from hwnas.search.truth import Accuracies, Latencies
from hwnas.spaces import Candidates

Floats = NDArray[np.float64]

# What a measurement tells, by the names of its figures.
_MEASURED = ("latency_ms", "p95_ms", "energy_mj")


@dataclass(frozen=True, eq=False)
class Pool:
    """Every candidate whose accuracy is known, with its figures on each device.

    Attributes:
        candidates: distinct, [n].
        shared: figures [n] that are the same on every device: accuracy on the validation split in
            percent, and the costs.
        on_device: `latency_ms`, `p95_ms` and `energy_mj` by device, [n]; NaN where not measured.
    """

    candidates: Candidates
    shared: Figures
    on_device: Mapping[str, Figures]

    @staticmethod
    def of(accuracies: Accuracies, latencies: Sequence[Latencies]) -> "Pool":
        """Returns what is known now."""
        every = Candidates.concatenate(accuracies.candidates)
        shared = {"accuracy_top1": accuracies.values(every), **cost_figures(every)}
        return Pool(
            every,
            shared,
            {one.device.name: {name: one.values(every, name) for name in _MEASURED} for one in latencies},
        )

    @property
    def accuracy_top1(self) -> Floats:
        """Percent on the validation split, [n]."""
        return self.shared["accuracy_top1"]

    def figures(self, device: str) -> Figures:
        """Returns all figures on one device, [n] each."""
        return {**self.shared, **self.on_device[device]}

    def kept(self, device: str, goal: Goal) -> NDArray[np.bool_]:
        """Returns which candidates [n] keep every limit on a device."""
        return goal.kept(self.figures(device), device)

    def points(self, devices: Sequence[str], goal: Goal) -> tuple[Floats, NDArray[np.int64]]:
        """Returns, for devices that compete, each candidate on the fastest one that keeps the limits.

        Returns:
            Objectives [n, m], all minimised, NaN where no device keeps the limits; and the index
            of the device [n].
        """
        latency = np.stack(
            [np.where(self.kept(name, goal), self.on_device[name]["latency_ms"], np.inf) for name in devices],
            axis=1,
        )
        best = latency.argmin(axis=1)
        rows = np.arange(len(latency))
        each = np.stack([goal.points(self.figures(name)) for name in devices], axis=1)
        objectives = each[rows, best]
        objectives[~np.isfinite(latency[rows, best])] = np.nan
        return objectives, best

    def front(self, devices: Sequence[str], goal: Goal) -> list[tuple[int, str]]:
        """Returns the row and the device of each member, fastest first."""
        objectives, best = self.points(devices, goal)
        rows = non_dominated(objectives)
        latency = np.array([self.on_device[devices[best[row]]]["latency_ms"][row] for row in rows])
        return [(int(row), devices[best[row]]) for row in rows[latency.argsort(kind="stable")]]

    def fastest(self, candidates: Candidates, devices: Sequence[str], goal: Goal) -> Floats:
        """Returns the least latency within the limits of each candidate on some devices, else NaN."""
        rows = {key: row for row, key in enumerate(self.candidates.ids)}
        latency = np.stack(
            [np.where(self.kept(n, goal), self.on_device[n]["latency_ms"], np.inf) for n in devices]
        ).min(axis=0)
        latency = np.where(np.isfinite(latency), latency, np.nan)
        return np.array([latency[rows[key]] if key in rows else np.nan for key in candidates.ids])

    def hypervolume(self, devices: Sequence[str], goal: Goal, reference: Floats) -> float:
        """Returns the hypervolume of the front of devices that compete."""
        objectives, _ = self.points(devices, goal)
        return hypervolume(objectives[~np.isnan(objectives).any(axis=1)], reference)


def cost_figures(candidates: Candidates) -> dict[str, Floats]:
    """Returns the figures that follow from the candidates alone, as floats."""
    costs = candidates.costs()
    return {
        "size_bytes": costs.weight_bytes.astype(np.float64),
        "peak_memory_bytes": costs.peak_memory_bytes.astype(np.float64),
        "bitops": costs.bitops.astype(np.float64),
    }


def known_figures(one: Latencies) -> dict[str, Floats]:
    """Returns the figures of all that was measured on a device, whether it was evaluated or not."""
    every = one.every
    return {**cost_figures(every), **{name: one.values(every, name) for name in _MEASURED}}


def competing(devices: Sequence[Device]) -> list[list[str]]:
    """Returns the devices' names in groups that share a front: the runtimes of one machine.

    A simulated device is a machine of its own.
    """
    groups: dict[str, list[str]] = {}
    for device in devices:
        machine = (
            device.fingerprint().facts.get("machine", device.name)
            if device.kind == "measured"
            else device.name
        )
        groups.setdefault(str(machine), []).append(device.name)
    return list(groups.values())


def member(
    row: int,
    deploy_on: str,
    pool: Pool,
    accuracies: Accuracies,
    latencies: Sequence[Latencies],
    predicted: Mapping[str, Mapping[str, float]],
) -> Member:
    """Returns the member of a front for one row of the pool, with all that is known of it."""
    one = pool.candidates[[row]]
    value = one.unpack()[0]
    evaluated = accuracies.known[value.id]
    half = 1.96 * evaluated["standard_error"]
    costs = one.costs()
    taken = next(known.known[value.id] for known in latencies if known.device.name == deploy_on)
    return Member(
        id=value.id,
        deploy_on=deploy_on,
        architecture=value.architecture.to_json(),
        bits=value.bits.to_json(),
        accuracy_top1={
            "value": evaluated["accuracy_top1"],
            "kind": "measured",
            "split": accuracies.split,
            "low": max(0.0, evaluated["accuracy_top1"] - half),
            "high": min(100.0, evaluated["accuracy_top1"] + half),
            "n": evaluated["n"],
        },
        latency_ms={
            known.device.name: latency_figure(
                known.known[value.id], predicted.get(known.device.name, {}).get(value.id)
            )
            for known in latencies
            if value.id in known.known
        },
        energy_mj=None
        if taken.energy_mj is None
        else {"value": taken.energy_mj, "kind": taken.energy_source},
        size_bytes=int(costs.weight_bytes[0]),
        macs=int(costs.macs[0]),
        params=int(costs.params[0]),
        bitops=int(costs.bitops[0]),
        peak_memory_bytes=int(costs.peak_memory_bytes[0]),
    )


def latency_figure(taken: Measurement, predicted: float | None) -> dict[str, object]:
    """Returns the latency entry of `front.json` for a measurement.

    `value` is corrected for the drift of the machine, `raw` is what the clock said; with the
    canary's reference time others can correct to the same speed.
    """
    return {
        "value": taken.latency_ms,
        "raw": taken.raw_latency_ms,
        "canary_reference_ms": taken.canary_reference_ms,
        "kind": taken.kind,
        "p95": taken.p95_ms,
        "low": taken.ci_low_ms,
        "high": taken.ci_high_ms,
        "predicted": predicted,
        "verdict": taken.verdict,
    }
