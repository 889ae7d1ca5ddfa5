"""What a search is asked for: objectives, and limits that nothing may break."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.errors import InputError
from hwnas.search.inner import Floats
from hwnas.search.settings import SearchSettings, Soft
from hwnas.units import format_energy_mj, format_size_bytes, format_time_ms

# Figures of candidates on one device by name, [n] each; `p95_ms` is what latency limits hold for.
Figures = Mapping[str, Floats]

_SHOWN = {
    "p95_ms": ("p95", format_time_ms),
    "energy_mj": ("energy", format_energy_mj),
    "size_bytes": ("size", format_size_bytes),
    "peak_memory_bytes": ("peak memory", format_size_bytes),
}
LIMIT_OPTIONS = {
    "p95_ms": "--target-latency",
    "energy_mj": "--target-energy",
    "size_bytes": "--max-size",
    "peak_memory_bytes": "--max-memory",
}


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Objectives and limits, by device where they differ.

    Attributes:
        objectives: `accuracy_top1` is maximised, all others are minimised.
        latency_ms: the limit of p95 by device; infinite where there is none.
        limits: the others by figure: `energy_mj`, `size_bytes`, `peak_memory_bytes`.
    """

    objectives: tuple[str, ...]
    latency_ms: Mapping[str, float]
    limits: Mapping[str, float]

    @staticmethod
    def of(settings: SearchSettings, devices: Sequence[str]) -> "Goal":
        """Returns the goal of settings on these devices.

        Raises:
            InputError: a target for a device that is not searched.
        """
        for name in settings.device_targets_ms:
            if name not in devices:
                raise InputError(f"a target is given for device '{name}', but searched: {', '.join(devices)}")
        wanted = {
            "energy_mj": settings.target_energy_mj,
            "size_bytes": settings.max_size_bytes,
            "peak_memory_bytes": settings.max_memory_bytes,
        }
        return Goal(
            objectives=settings.objectives,
            latency_ms=settings.limits_ms(devices),
            limits={name: float(value) for name, value in wanted.items() if value is not None},
        )

    @property
    def needs_energy(self) -> bool:
        """Whether energies have to be known."""
        return "energy_mj" in self.objectives or "energy_mj" in self.limits

    @property
    def plain(self) -> bool:
        """Whether it is accuracy against latency, with no limit but on latency."""
        return self.objectives == ("accuracy_top1", "latency_ms") and not self.limits

    def on(self, device: str) -> dict[str, float]:
        """Returns the finite limits on a device, by figure."""
        latency = self.latency_ms[device]
        return {**({"p95_ms": latency} if np.isfinite(latency) else {}), **self.limits}

    def points(self, figures: Figures) -> Floats:
        """Returns objectives [n, m], all minimised."""
        signs = [-1.0 if name == "accuracy_top1" else 1.0 for name in self.objectives]
        return np.stack(
            [sign * figures[name] for sign, name in zip(signs, self.objectives, strict=True)], axis=1
        )

    def named(self, point: Floats) -> dict[str, float]:
        """Returns a point [m], all minimised, by the names of the objectives: accuracy as people read it."""
        pairs = zip(self.objectives, point.tolist(), strict=True)
        return {name: float(-value if name == "accuracy_top1" else value) for name, value in pairs}

    def excess(self, figures: Figures, device: str) -> Floats:
        """Returns by which share each limit is broken, [n, limits], met at <= 0; at least one column."""
        limits = self.on(device)
        first = next(iter(figures.values()))
        columns = [figures[name] / limit - 1 for name, limit in limits.items()]
        return np.stack(columns or [np.full(len(first), -1.0)], axis=1)

    def kept(self, figures: Figures, device: str) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        """Returns which candidates [n] keep every limit on a device; a figure that is NaN does not."""
        ok = np.ones(len(next(iter(figures.values()))), dtype=bool)
        for name, limit in self.on(device).items():
            ok &= figures[name] <= limit
        return ok & ~np.isnan(figures["latency_ms"])

    def say(self, figures: Mapping[str, float], device: str) -> str:
        """Returns one candidate's figures beside their limits: `p95 3.2ms (limit 2ms)`."""
        parts = []
        for name, limit in self.on(device).items():
            word, form = _SHOWN[name]
            parts.append(f"{word} {form(figures[name])} (limit {form(limit)})")
        return ", ".join(parts)


def reward(accuracy_top1: Floats, latency_ms: Floats, target_ms: float, soft: Soft) -> Floats:
    """Returns the weighted product [n], in percent."""
    ratio = latency_ms / target_ms
    found: Floats = accuracy_top1 * ratio ** np.where(ratio <= 1, soft.alpha, soft.beta)
    return found
