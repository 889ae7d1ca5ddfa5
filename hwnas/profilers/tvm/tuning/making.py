"""Making a pack: the search for schedules in a process of its own, and what came of it as a file."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import numpy as np

from hwnas import files
from hwnas.errors import HwnasError, MeasurementError, UnavailableError
from hwnas.profilers.machine.folders import data_home
from hwnas.profilers.machine.processor import processor_family
from hwnas.profilers.tvm.kernels.packs import Pack, Schedule, pack_for, tvm_version, user_folder, write_pack
from hwnas.profilers.tvm.kernels.plan import expected_uses, kernels_of, space_layers
from hwnas.profilers.tvm.target import Target, targets_here
from hwnas.profilers.tvm.tuning.records import KernelRecord
from hwnas.profilers.tvm.tuning.settings import TuningProgress, TuningSettings
from hwnas.profilers.tvm.tuning.tune import tune
from hwnas.spaces import Space, get_space, space_of_definition

_RESTARTS = 3


@dataclass(frozen=True)
class TuningResult:
    """What a search came to.

    Attributes:
        pack: the file of the new pack; it lacks kernels while not all are tuned.
        progress: the last state.
    """

    pack: Path
    progress: TuningProgress


def tune_space(
    space: Space,
    budget_s: float,
    *,
    target: Target | None = None,
    threads: int = 1,
    settings: TuningSettings | None = None,
    work: Path | None = None,
    packs: Path | None = None,
    processor: str | None = None,
    remote: Mapping[str, Any] | None = None,
    on_progress: Callable[[TuningProgress], None] | None = None,
) -> TuningResult:
    """Returns the outcome of tuning a space's kernels for this processor for about `budget_s`.

    The same call goes on where the last one ended, also after a kill: the pack is written anew
    after each round. The pack in use and schedules by rule are where the search begins, so a new pack
    is as good as both or better; for more than one thread that is also the pack for one, so each
    kernel gets the better of a serial and a parallel schedule.

    Args:
        space: a registered one; the process that tunes finds it by its name.
        budget_s: of wall time; the last round may end a minute late.
        target: what to tune for; None takes the best that this processor runs.
        threads: that a kernel may use, where no target is given.
        settings: of the search; None takes the defaults, with a builder for each core.
        work: the folder of the tuner's database; None takes one in the data folder.
        packs: the folder the pack goes to; None takes the one where devices look first.
        processor: the family that the pack is for; None takes this machine's.
        remote: the address of the servers that time candidates; None times them here.
        on_progress: hears of the state before each round.

    Raises:
        UnavailableError: this processor is not one of those TVM is used on here.
        MeasurementError: nothing could be built and run, or the process died again and again.
    """
    if target is None and not targets_here():
        raise UnavailableError("tuning runs on x86-64-v2 processors and later, under Linux, and this is none")
    target = target or targets_here(threads)[0]
    name = f"{space.key}-{space.num_classes}.{target.name}-tvm{tvm_version()}"
    work = work or data_home() / "tuning" / (name if processor is None else f"{name}-{processor}")
    request = {
        "space": space.name,
        "space_definition": space.definition,
        "num_classes": space.num_classes,
        "target": asdict(target),
        "work": str(work),
        "packs": str(packs or user_folder()),
        "processor": processor or processor_family(),
        "remote": remote,
        "settings": asdict(settings or TuningSettings(workers=len(os.sched_getaffinity(0)))),
    }
    return _watched(request, budget_s, work, on_progress or (lambda progress: None))


def make_pack(
    space: str,
    target: Target,
    known: Mapping[str, KernelRecord],
    start: Pack | None = None,
    processor: str | None = None,
) -> Pack:
    """Returns the pack of the best schedule of each kernel that has one.

    Args:
        space: its key.
        target: what the kernels were tuned for.
        known: what the tuner knows of each kernel.
        start: the pack the search began with; its other kernels, such as those of classifiers with
            other numbers of classes, are kept.
        processor: the family they were timed on; None takes this machine's.
    """
    best = {
        key: Schedule(one.line[1][0], one.best_us, one.trials)
        for key, one in known.items()
        if one.line is not None
    }
    return Pack(
        space=space,
        target=target,
        tvm=str(tvm_version()),
        processor=processor or processor_family(),
        made=datetime.now(timezone.utc).date().isoformat(),
        schedules={**(start.schedules if start and start.target == target else {}), **best},
    )


def main() -> None:
    """Tunes as the JSON line on stdin says; answers in JSON lines; ends when stdin does."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_stdin, daemon=True).start()

    def say(**event: Any) -> None:
        answers.write(json.dumps(event) + "\n")

    try:
        pack = _tuned(request, lambda progress: say(event="progress", **asdict(progress)))
        say(event="done", pack=str(pack))
    except HwnasError as error:
        say(event="failed", message=str(error))


def _tuned(request: Mapping[str, Any], on_progress: Callable[[TuningProgress], None]) -> Path:
    definition, classes = request["space_definition"], request["num_classes"]
    space = space_of_definition(definition, classes) if definition else get_space(request["space"], classes)
    target, processor, packs = Target(**request["target"]), request["processor"], Path(request["packs"])
    kernels = kernels_of(space_layers(space), target.channel_multiple)
    start, serial = (
        pack_for(space.key, [one], packs, processor) for one in (target, replace(target, threads=1))
    )
    written = packs / "none"

    def on_round(progress: TuningProgress, known: Mapping[str, KernelRecord]) -> None:
        nonlocal written
        written = write_pack(make_pack(space.key, target, known, start, processor), packs)
        on_progress(progress)

    tune(
        kernels.functions,
        expected_uses(space, kernels.plan, np.random.default_rng(0)),
        target,
        Path(request["work"]),
        request["budget_s"],
        TuningSettings(**request["settings"]),
        on_round,
        start={**(serial.schedules if serial else {}), **(start.schedules if start else {})},
        remote=request["remote"],
    )
    return written


def _watched(
    request: Mapping[str, Any], budget_s: float, work: Path, on_progress: Callable[[TuningProgress], None]
) -> TuningResult:
    """Tunes in a process of its own, and in another where that one dies before the budget is spent."""
    files.write_text(work / "no-torch" / "torch.py", 'raise ImportError("kept out of tuning processes")\n')
    started = time.monotonic()
    code: int | None = None
    # A kill leaves candidates behind, of ours and of TVM's own; whoever comes next removes the folder.
    with files.temporary_folder() as room:
        for attempt in range(1 + _RESTARTS):
            left_s = budget_s - (time.monotonic() - started)
            if attempt and left_s <= 0:
                break
            with open(work / "process.log", "a", encoding="utf-8") as log:
                result, code = _attempt({**request, "budget_s": left_s}, work, room, log, on_progress)
            if result:
                return result
    raise MeasurementError(
        f"the tuning process ended with code {code}, {attempt + 1} times; its log is {work / 'process.log'}; "
        "the same command goes on where it ended"
    )


def _attempt(
    request: Mapping[str, Any],
    work: Path,
    room: Path,
    log: IO[str],
    on_progress: Callable[[TuningProgress], None],
) -> tuple[TuningResult | None, int | None]:
    """The outcome of one process, or None and its exit code where it died."""
    # Everything TVM starts would load torch where it finds it, 2 CPU s each time.
    paths = [str(work / "no-torch"), *(path for path in sys.path if path)]
    threads = str(request["target"]["threads"])
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "TVM_NUM_THREADS": threads,
        "TMPDIR": str(room),
    }
    progress: TuningProgress | None = None
    process = subprocess.Popen(
        [sys.executable, "-m", "hwnas.profilers.tvm.tuning.making"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the process that the user sees
    )
    # Leaving a process that has died flushes what it never read, which raises again.
    with contextlib.suppress(BrokenPipeError), process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            event = json.loads(line)
            kind = event.pop("event")
            if kind == "failed":
                raise MeasurementError(event["message"])
            if kind == "done" and progress:
                return TuningResult(Path(event["pack"]), progress), 0
            progress = TuningProgress(**event)
            on_progress(progress)
    return None, process.returncode


def _end_with_stdin() -> None:
    while sys.stdin.readline():
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
