"""Makes faults over the commands and tells what was lost: `python -m tests.faults --kills 100`.

What was done is kept in a folder, so that the same command goes on where it was stopped. A kill is
made again from the seed, the job's name and the chain's number.
"""

import argparse
import json
import resource
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from . import disks, interrupts, others
from .jobs import make_world
from .kills import Chain, killed
from .stage import Stage, Tried

# Of a hundred kills, how many befall each job.
SHARES = {
    "train": 16,
    "train, 2 processes": 2,
    "evaluate": 14,
    "evaluate, 2 processes": 4,
    "profile": 14,
    "profile, simulated": 4,
    "profile, cpu-ort": 4,
    "profile, cpu": 6,
    "profile, cpu, tuned": 6,
    "search": 10,
    "search, measured": 8,
    "export": 8,
    "export, cpu-ort": 4,
}

FAULTS: dict[str, Callable[[Stage], Tried]] = {
    "Ctrl-C once": interrupts.once,
    "Ctrl-C twice": interrupts.twice,
    "Ctrl-C, nothing kept": interrupts.keeping_nothing,
    "killed at work": others.killed_at_work,
    "a full disk": disks.full,
    "a read-only folder": disks.read_only,
    "a file removed": disks.removed,
    "a locked store": others.locked_store,
    "a clock set back": others.clock_back,
    "a worker killed for memory": others.worker_killed,
    "several at once": others.together,
    "a stale lock": others.stale_lock,
}


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="over all jobs")
    parser.add_argument("--jobs", nargs="*", choices=SHARES, default=list(SHARES), help="that are killed")
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("faults-results"))
    asked = parser.parse_args()
    home = asked.output.resolve()
    home.mkdir(parents=True, exist_ok=True)
    stage = Stage(home / "world", home / "places", asked.seed)
    stage.home.mkdir(exist_ok=True)
    make_world(stage.world)
    wrong = _kills(stage, asked.jobs, asked.kills, home / "kills.jsonl") + _faults(
        stage, asked.faults, home / "faults.jsonl"
    )
    for one in wrong:
        print(f"  {one}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"CPU seconds of the commands: {used.ru_utime + used.ru_stime:.0f}")
    raise SystemExit(1 if wrong else 0)


def _kills(stage: Stage, names: list[str], kills: int, results: Path) -> list[str]:
    """Kills jobs and prints a row for each; returns what was wrong."""
    done = [_chain(line) for line in _lines(results)]
    print("| job | kills | of the command alone | runs completed | at seconds | wrong |")
    print("|---|---|---|---|---|---|")
    for name in names if kills else ():
        mine = [one for one in done if one.job == name]
        with open(results, "a", encoding="utf-8") as out:
            share = round(kills * SHARES[name] / sum(SHARES.values()))
            for one in killed(name, share, stage, list(mine)):
                out.write(json.dumps(asdict(one)) + "\n")
                out.flush()
                mine.append(one)
        done = [one for one in done if one.job != name] + mine
        moments = sorted(moment for one in mine for moment in one.moments_s)
        span = f"{moments[0]:.1f}–{moments[-1]:.1f}" if moments else ""
        print(
            f"| {name} | {len(moments)} | {sum(one.alone for one in mine)} | {len(mine)} | {span} "
            f"| {sum(len(one.wrong) for one in mine)} |",
            flush=True,
        )
    return [f"{one.job} killed after {one.moments_s} s: {what}" for one in done for what in one.wrong]


def _faults(stage: Stage, names: list[str], results: Path) -> list[str]:
    """Makes the faults and prints a row for each; returns what was wrong."""
    done = {entry["fault"]: Tried(**entry["tried"]) for entry in map(json.loads, _lines(results))}
    print("| fault | tries | wrong | lines |\n|---|---|---|---|")
    for name in names:
        if name not in done:
            done[name] = FAULTS[name](stage)
            with open(results, "a", encoding="utf-8") as out:
                out.write(json.dumps({"fault": name, "tried": asdict(done[name])}) + "\n")
        tried = done[name]
        says = tried.skipped and f"skipped: {tried.skipped}"
        print(
            f"| {name} | {tried.tries} | {len(tried.wrong)} | {says or '; '.join(tried.says)} |", flush=True
        )
    return [f"{name}: {what}" for name in names for what in done[name].wrong]


def _chain(line: str) -> Chain:
    fields = json.loads(line)
    return Chain(**{**fields, "moments_s": tuple(fields["moments_s"]), "wrong": tuple(fields["wrong"])})


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
