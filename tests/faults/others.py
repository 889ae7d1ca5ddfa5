"""Locks, clocks, workers that die, and commands that share a store."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing

from .interrupts import at_work
from .running import Running, ran, started
from .stage import Stage, Tried
from .traces import lost, torn, truths

# A clock that is a day behind from some seconds of each process's life on; its own steps go on.
_CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static int (*real)(clockid_t, struct timespec *);
static time_t back(time_t now) {
    static time_t born;
    if (!born) born = now;
    return now - born >= atoi(getenv("SET_BACK_AFTER_S")) ? 86400 : 0;
}
int clock_gettime(clockid_t id, struct timespec *t) {
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, t);
    if (!code && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec -= back(t->tv_sec);
    return code;
}
time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}
int gettimeofday(struct timeval *t, void *zone) {
    struct timespec s;
    clock_gettime(CLOCK_REALTIME, &s);
    t->tv_sec = s.tv_sec;
    t->tv_usec = s.tv_nsec / 1000;
    return 0;
}
"""
_EVER = 1e9


def locked_store(stage: Stage, seconds: Sequence[float] = (8.0, _EVER)) -> Tried:
    """A store that another process writes to: for a while, and for longer than anybody waits."""
    tried = Tried()
    name = "profile, simulated"
    for held_s in seconds:
        place = stage.settled(name)
        ran(["profile", "--device", "bitfusion", "--samples", "12"], place)
        known = truths(place)
        with closing(sqlite3.connect(place / "home" / "measurements.sqlite")) as other:
            other.execute("BEGIN EXCLUSIVE")
            with started(stage.job(name).words, place) as running:
                if held_s < _EVER:
                    time.sleep(held_s)
                    other.rollback()
                end = running.ended()
            if other.in_transaction:
                other.rollback()
        wrong = end.done() if held_s < _EVER else end.refused("another process holds it")
        what = f"held for {held_s:g} s" if held_s < _EVER else "held for ever"
        tried.add(what, wrong + stage.completes(name, place, known), end.last if end.code else "")
    return tried


def clock_back(stage: Stage) -> Tried:
    """A clock that is set back by a day in the middle, and again with each process that begins."""
    tried = Tried()
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        tried.skipped = "no C compiler to make a clock with"
        return tried
    library = stage.home / "clock.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), "-x", "c", "-", "-ldl"],
        input=_CLOCK,
        text=True,
        check=True,
    )
    for name in ("train", "evaluate", "profile", "search", "export"):
        place = stage.settled(name)
        more = {"LD_PRELOAD": str(library), "SET_BACK_AFTER_S": "2"}
        # Killed under the true clock, it goes on under the other.
        stage.befallen(name, place, at_work(name), lambda running: running.process.kill())
        known = truths(place)
        end = ran(stage.job(name).words, place, more)
        wrong = end.done() + torn(place, finished=end.code == 0) + lost(known, truths(place))
        tried.add(name, wrong + stage.completes(name, place, truths(place)))
    return tried


def worker_killed(
    stage: Stage, names: Sequence[str] = ("profile", "search, measured", "evaluate, 2 processes")
) -> Tried:
    """The process that measures, or one that evaluates, killed as the kernel does when memory is short."""
    tried = Tried()
    for name in names:
        place = stage.settled(name)

        def shoot(running: Running) -> None:
            running.descendants()[0].send_signal(signal.SIGKILL)

        working = at_work(name)
        end, came = stage.befallen(
            name,
            place,
            lambda running: working(running) and running.descendants(),  # noqa: B023 (called at once)
            shoot,
        )
        # One that is shot before it is ready is not replaced: something may be wrong with all of them.
        told = bool(end.code) and not end.refused("cannot start measuring")
        wrong = ([] if told else end.done()) if came else ["it was over before a worker was killed"]
        tried.add(name, wrong + stage.completes(name, place, truths(place)), end.last if told else "")
    return tried


def killed_at_work(stage: Stage) -> Tried:
    """`kill -9` where a random moment seldom falls: compiling, tuning, and measuring what tells most."""
    tried = Tried()

    def choosing(running: Running) -> bool:
        return running.said().count("measuring on sleeper: 0/") > 1

    for name, condition in (
        ("profile, cpu", at_work("profile, cpu")),
        ("profile, cpu, tuned", at_work("profile, cpu, tuned")),
        ("search, measured", choosing),
    ):
        place = stage.settled(name)
        left: list[str] = []

        def shoot(running: Running, left: list[str] = left) -> None:
            left += [f"outlives the command: {one}" for one in running.kill(whole_group=False)]

        _, came = stage.befallen(name, place, condition, shoot)
        wrong = left if came else ["it was over before it was killed"]
        wrong += torn(place, finished=False)
        tried.add(name, wrong + stage.completes(name, place, truths(place)))
    return tried


def together(stage: Stage) -> Tried:
    """Two searches and a profile at the same time on one store; and two commands on one folder."""
    tried = Tried()
    search, profile = stage.job("search, measured"), stage.job("profile")
    place = stage.settled("profile")
    other = [*search.words[:-1], "other", "--seed", "1"]
    with (
        started(search.words, place) as first,
        started(other, stage.home / "beside", {"HWNAS_HOME": str(place / "home")}) as second,
        started(profile.words, stage.home / "third", {"HWNAS_HOME": str(place / "home")}) as third,
    ):
        ends = [one.ended() for one in (first, second, third)]
    wrong = [one for end in ends for one in end.done()]
    wrong += torn(place, finished=True) + torn(stage.home / "beside", finished=True)
    known = truths(place)
    again = ran(profile.words, place)
    wrong += again.done() + ([] if truths(place) == known else ["measured again"])
    tried.add("two searches and a profile", wrong)
    for name in ("search", "evaluate", "export", "train"):
        place = stage.settled(name)
        working = at_work(name)
        link = stage.home / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(place)
        with started(stage.job(name).words, place) as first:
            first.wait_for(lambda: working(first))  # noqa: B023 (called at once)
            # A machine may be so fast that the first has ended before the second has begun.
            first.process.send_signal(signal.SIGSTOP)
            end = ran(stage.job(name).words, link)
            first.process.send_signal(signal.SIGCONT)
            wrong = end.refused("by another process")
            wrong += first.ended().done()
        tried.add(f"{name} twice", wrong + stage.completes(name, place, truths(place)), end.last)
    return tried


def stale_lock(stage: Stage) -> Tried:
    """Lock files of a process that is gone, and of one whose number another process has now."""
    tried = Tried()
    gone = subprocess.Popen(["true"])
    gone.wait()
    for what, number in (("dead", str(gone.pid)), ("used again", str(os.getpid()))):
        for name, folder in (("search", "run"), ("export", "models")):
            place = stage.settled(name)
            stage.befallen(name, place, at_work(name), lambda running: running.process.kill())
            (place / folder / ".lock").write_text(number)
            tried.add(f"{name}, {what}", stage.completes(name, place, truths(place)))
    return tried
