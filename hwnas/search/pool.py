"""The pool of known candidates as points of device and figures, and the front over them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.profilers.device import Device
from hwnas.profilers.measurement import Measurement
from hwnas.search.front import Member
from hwnas.search.pareto import hypervolume, non_dominated
from hwnas.search.truth import Accuracies, Latencies
from hwnas.spaces import Candidates

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pool:
    """Every pair of a candidate and a device with both figures known.

    Attributes:
        candidates: distinct, [n].
        accuracy_top1: percent on the validation split, [n].
        latency_ms, p95_ms: by device, [n]; NaN where the device has not measured the candidate.
    """

    candidates: Candidates
    accuracy_top1: Floats
    latency_ms: Mapping[str, Floats]
    p95_ms: Mapping[str, Floats]

    @staticmethod
    def of(accuracies: Accuracies, latencies: Sequence[Latencies]) -> "Pool":
        """Returns what is known now."""
        every = Candidates.concatenate(accuracies.candidates)
        return Pool(
            every,
            accuracies.values(every),
            {one.device.name: one.values(every) for one in latencies},
            {one.device.name: one.values(every, "p95_ms") for one in latencies},
        )

    def points(self, devices: Sequence[str], target_ms: float) -> tuple[Floats, NDArray[np.int64]]:
        """Returns, for devices that compete, the best within the target for each candidate.

        Returns:
            Objectives [n, 2], minus accuracy and latency, NaN where no device keeps the target;
            and the index of the device [n].
        """
        latency = np.stack([self.latency_ms[name] for name in devices], axis=1)
        p95 = np.stack([self.p95_ms[name] for name in devices], axis=1)
        kept = np.where(p95 <= target_ms, latency, np.inf)
        best = kept.argmin(axis=1)
        value = kept[np.arange(len(kept)), best]
        value = np.where(np.isfinite(value), value, np.nan)
        return np.stack([-self.accuracy_top1, value], axis=1), best

    def front(self, devices: Sequence[str], target_ms: float) -> list[tuple[int, str]]:
        """Returns the row and the device of each member, fastest first."""
        objectives, best = self.points(devices, target_ms)
        rows = non_dominated(objectives)
        return [(int(row), devices[best[row]]) for row in rows[objectives[rows, 1].argsort(kind="stable")]]

    def fastest(self, candidates: Candidates, devices: Sequence[str], target_ms: float) -> Floats:
        """Returns the least latency within the target of each candidate on some devices, else NaN."""
        rows = {key: row for row, key in enumerate(self.candidates.ids)}
        latency = self.points(devices, target_ms)[0][:, 1]
        return np.array([latency[rows[key]] if key in rows else np.nan for key in candidates.ids])

    def hypervolume(self, devices: Sequence[str], target_ms: float, reference: Floats) -> float:
        """Returns the hypervolume of the front of devices that compete."""
        objectives, _ = self.points(devices, target_ms)
        return hypervolume(objectives[~np.isnan(objectives).any(axis=1)], reference)


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
