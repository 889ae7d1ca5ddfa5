"""Reads spoilt files of every kind and tells what was wrong: `python -m tests.fuzz --files 1000`.

Seeds are recorded: a file is made again from its reader's name and its number. What was done is
kept in a folder, so that the same command goes on where it was stopped.
"""

import argparse
import hashlib
import json
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import hwnas

from .child import CASE, MEMORY_CAP_BYTES, MOST_CPU_S
from .readers import READERS

# A reader that sleeps takes no CPU time; a busy machine is slow, so this is generous.
_MOST_WALL_S = 120


def fuzz(name: str, first: int, last: int, results: Path) -> list[dict[str, object]]:
    """Returns one entry a file of seeds from `first` to before `last`; those in `results` are kept."""
    code, (begun, *done) = _code(), _kept(results)
    entries = [entry for entry in done if first <= entry["seed"] < last] if begun == {"code": code} else []
    seed = max((entry["seed"] + 1 for entry in entries), default=first)
    with open(results, "a" if begun == {"code": code} else "w", encoding="utf-8") as out:
        if begun != {"code": code}:
            out.write(json.dumps({"code": code}) + "\n")
        while seed < last:
            with tempfile.TemporaryDirectory() as folder:
                for entry in _child(name, seed, last, folder):
                    out.write(json.dumps(entry) + "\n")
                    out.flush()
                    entries.append(entry)
                    seed = int(str(entry["seed"])) + 1
                if outside := _outside(Path(folder)):
                    entries.append({"seed": seed, "said": f"OUTSIDE {outside}"})
    return entries


def _kept(results: Path) -> list[dict[str, Any]]:
    """What a file of results holds: first, of which code it is."""
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else [{}]


def _code() -> str:
    """A digest of the code that reads and spoils: results of another one say nothing of it."""
    digest = hashlib.sha256()
    for path in sorted([*Path(hwnas.__file__).parent.rglob("*.py"), *Path(__file__).parent.glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _outside(folder: Path) -> list[str]:
    """What lies in the folders around that of the files."""
    around = [folder.joinpath(*CASE[:deep]) for deep in range(len(CASE))]
    known = {folder.joinpath(*CASE[: deep + 1]) for deep in range(len(CASE))}
    return sorted(str(path) for place in around for path in place.iterdir() if path not in known)


def _child(name: str, seed: int, last: int, folder: str):  # type: ignore[no-untyped-def]
    """Yields the entries of one process, until it ends or has to be ended."""
    words = [sys.executable, "-m", "tests.fuzz.child", name, str(seed), str(last), folder]
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout is not None
        begun = False
        while seed < last:
            ready, _, _ = select.select([process.stdout], [], [], _MOST_WALL_S)
            line = process.stdout.readline() if ready else ""
            if not line:
                process.kill()
                code = process.wait()
                errors.seek(0)
                if not begun and code == 1:
                    raise RuntimeError(f"the valid file of {name} is not read: {errors.read()[-800:]}")
                hung = not ready or code == -signal.SIGPROF
                yield {"seed": seed, "said": f"HANG over {MOST_CPU_S} s" if hung else f"CRASH {code}"}
                return
            begun = True
            entry = json.loads(line)
            seed = entry["seed"] + 1
            yield entry


def row(name: str, entries: list[dict[str, object]]) -> str:
    """Returns the line of a reader in the table of docs/reliability.md."""
    said = [str(entry["said"]) for entry in entries]
    count = {
        word: sum(one.startswith(word) for one in said) for word in ("read", "refused", "HANG", "OUTSIDE")
    }
    bad = sum(one.split()[0] in ("TRACEBACK", "MEMORY", "CRASH", "LONG") for one in said)
    seeds = [int(str(entry["seed"])) for entry in entries]
    grown = max(int(str(entry.get("grown_bytes", 0))) for entry in entries) / 2**20
    times = [float(str(entry.get("cpu_s", 0))) for entry in entries]
    return (
        f"| {name} | {len(entries):,} | {min(seeds)}–{max(seeds)} | {count['refused']:,} | "
        f"{count['read']:,} | "
        f"{bad} | {count['HANG']} | {count['OUTSIDE']} | {grown:.0f} | {sum(times):,.0f} | {max(times):.2f} |"
    )


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--readers", nargs="+", choices=READERS, default=list(READERS))
    parser.add_argument("--files", type=int, default=100, help="of each reader")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("fuzz-results"))
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    print(f"memory cap {MEMORY_CAP_BYTES >> 20} MiB above the start, {MOST_CPU_S} CPU s a file")
    print(
        "| reader | files | seeds | refused | read | errors | hangs | outside | MiB grown | CPU s | at most |"
    )
    wrong = []
    for name in asked.readers:
        last = asked.first_seed + asked.files
        entries = fuzz(name, asked.first_seed, last, asked.output / f"{name}.jsonl")
        print(row(name, entries), flush=True)
        wrong += [(name, entry) for entry in entries if entry["said"] not in ("read", "refused")]
    shown: dict[str, int] = {}
    for name, entry in wrong:
        key = f"{name}: {entry['said']}"
        shown[key] = shown.get(key, 0) + 1
        if shown[key] == 1:
            print(f"  seed {entry['seed']} of {key}")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
