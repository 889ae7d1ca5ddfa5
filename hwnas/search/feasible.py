"""Before a search: bits that devices run, limits that nothing meets, targets that exclude nothing."""

from collections.abc import Callable, Sequence

import numpy as np

from hwnas.errors import InfeasibleError, InputError
from hwnas.profilers.device import Device
from hwnas.search.genome import Genome, cheapest_and_random, joined
from hwnas.search.goal import LIMIT_OPTIONS, Goal
from hwnas.search.pool import cost_figures, known_figures
from hwnas.search.settings import SearchSettings
from hwnas.search.truth import Latencies
from hwnas.spaces import Candidates, Pair, Space
from hwnas.units import format_time_ms

# Where nothing measured keeps the limits: candidates priced, and the nearest of them that are measured.
_DRAWN, _TRIED = 5000, 8


def usable_pairs(device: Device, wanted: Sequence[int]) -> tuple[Pair, ...]:
    """Returns the weight and activation bits to search on a device, the widest first.

    Raises:
        InputError: it runs none of the wanted bitwidths.
    """
    pairs = [p for p in device.bit_pairs if not wanted or all(bits in wanted for bits in p)]
    if not pairs:
        raise InputError(
            f"device '{device.name}' runs {', '.join(map(str, device.bits))} bits, but --bits asks for "
            f"{', '.join(map(str, wanted))}; drop the device or add its bits"
        )
    return tuple(sorted(set(pairs), reverse=True))


def refuse_hopeless(
    latencies: Sequence[Latencies], goal: Goal, settings: SearchSettings, space: Space
) -> Candidates:
    """Returns measured candidates within all limits, one for each device that has any.

    Where the first sample has none on any device, those expected to break them least are measured.

    Raises:
        InfeasibleError: none of them keeps the limits either; names the nearest.
    """
    if not any(_kept(one, goal).any() for one in latencies):
        for one in latencies:
            _learn_nearest(one, goal, settings, space)
    found = []
    for one in latencies:
        kept = np.flatnonzero(_kept(one, goal))
        if len(kept):
            fastest = kept[one.values(one.every)[kept].argmin()]
            found.append(one.every[[fastest]])
    if not found:
        raise InfeasibleError(_nearest(latencies, goal))
    return joined(found)


def say_if_idle(latencies: Sequence[Latencies], goal: Goal, say: Callable[[str], None]) -> None:
    """Says so where latency targets exclude nothing, with one that would bind."""
    if not all(np.isfinite(goal.latency_ms[one.device.name]) for one in latencies):
        return
    if any((one.values(one.every, "p95_ms") > goal.latency_ms[one.device.name]).any() for one in latencies):
        return
    slowest, name = max((float(one.values(one.every).max()), one.device.name) for one in latencies)
    say(
        f"the target of {format_time_ms(goal.latency_ms[name])} excludes nothing: the slowest network "
        f"measured takes {format_time_ms(slowest)} (on {name}); one that would bind: "
        f"--target-latency {format_time_ms(slowest / 2)}"
    )


def _kept(one: Latencies, goal: Goal) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    return goal.kept(known_figures(one), one.device.name)


def _learn_nearest(one: Latencies, goal: Goal, settings: SearchSettings, space: Space) -> None:
    """Measures the candidates that the predictors expect to break the limits least."""
    drawn = cheapest_and_random(Genome(space, one.pairs), _DRAWN, np.random.default_rng(settings.seed))
    drawn = drawn[drawn.first_of_each()]
    fitted = one.fit(settings.seed, settings.miss_rate, energy=goal.needs_energy)
    latency = fitted.predictor.mean(drawn)
    figures = {**cost_figures(drawn), "latency_ms": latency, "p95_ms": latency}
    if fitted.energy is not None:
        figures["energy_mj"] = fitted.energy.predictor.mean(drawn)
    worst = goal.excess(figures, one.device.name).max(axis=1)
    one.learn(drawn[np.sort(worst.argsort(kind="stable")[:_TRIED])])


def _nearest(latencies: Sequence[Latencies], goal: Goal) -> str:
    """What to say where nothing keeps the limits."""
    ranked = []
    for one in latencies:
        figures, name = known_figures(one), one.device.name
        worst = np.nan_to_num(goal.excess(figures, name), nan=np.inf).max(axis=1)
        row = int(worst.argmin())
        ranked.append((float(worst[row]), name, {key: float(value[row]) for key, value in figures.items()}))
    _, name, found = min(ranked, key=lambda entry: entry[0])
    limits = goal.on(name)
    if list(limits) == ["p95_ms"]:
        return (
            f"--target-latency must be at least {format_time_ms(found['p95_ms'] * 1.01)}, the p95 of the "
            f"fastest network found (on {name}), but got {format_time_ms(limits['p95_ms'])}; raise it, or "
            "choose another space or device"
        )
    broken = [LIMIT_OPTIONS[key] for key, limit in limits.items() if not found[key] <= limit]
    return (
        f"no network found keeps all limits; the nearest (on {name}) has {goal.say(found, name)}: raise "
        f"{' or '.join(broken)}, or choose another space or device"
    )
