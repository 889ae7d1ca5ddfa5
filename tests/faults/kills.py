"""`kill -9` at random moments over a job, each followed by the same command."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .running import started
from .stage import Stage
from .traces import lost, torn, truths

# Kills of one run at most, before it may end.
_MOST_IN_A_ROW = 3


@dataclass(frozen=True)
class Chain:
    """A job killed some times, and then completed by the same command.

    Attributes:
        job: its name.
        moments_s: when it was killed, in seconds after each start.
        alone: how many of the kills hit the command and not its group.
        wrong: what should not have been.
    """

    job: str
    moments_s: tuple[float, ...]
    alone: int
    wrong: tuple[str, ...]


def killed(name: str, kills: int, stage: Stage, done: list[Chain]) -> Iterator[Chain]:
    """Yields chains until a job was killed so often; those done earlier count.

    Chains are made again from seed, job and number; moments, from how long the job takes here.
    """
    left = kills - sum(len(one.moments_s) for one in done)
    number = len(done)
    while left > 0:
        one = _chain(name, stage, random.Random(f"{stage.seed} {name} {number}"), left)
        left -= len(one.moments_s)
        number += 1
        yield one


def _chain(name: str, stage: Stage, rng: random.Random, kills: int) -> Chain:
    """Kills a job up to so many times, lets it complete, and holds the end against the unbroken one."""
    whole, place = stage.whole(name), stage.settled(name)
    known: Counter[str] = Counter()
    moments, alone, wrong = [], 0, []
    for _ in range(min(kills, rng.randint(1, _MOST_IN_A_ROW))):
        group, moment = rng.random() < 0.6, rng.uniform(0, whole.seconds)
        with started(stage.job(name).words, place) as running:
            if running.wait(moment) is not None:
                break
            orphans = running.kill(group)
        wrong += [f"outlives the command: {one}" for one in orphans]
        moments.append(round(moment, 2))
        alone += not group
        wrong += torn(place, finished=False)
        now = truths(place)
        wrong += lost(known, now)
        known = now
    wrong += stage.completes(name, place, known)
    return Chain(name, tuple(moments), alone, tuple(wrong))
