"""Making a pack: the search for schedules in a process of its own, and what came of it as a file."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from hwnas import files
from hwnas.errors import HwnasError, MeasurementError, UnavailableError
from hwnas.profilers.tvm.kernels import expected_uses, kernels_of, space_layers
from hwnas.profilers.tvm.packs import Pack, Schedule, pack_for, tvm_version, user_folder, write_pack
from hwnas.profilers.tvm.places import data_home, levels_here, processor_family
from hwnas.profilers.tvm.records import KernelRecord
from hwnas.profilers.tvm.tuning import TuningProgress, TuningSettings, tune
from hwnas.spaces import Space, get_space, space_of_definition


@dataclass(frozen=True)
class TuningResult:
    """What a search came to.

    Attributes:
        pack: the file of the new pack; None while some kernels have no schedule: tune on.
        progress: the last state.
    """

    pack: Path | None
    progress: TuningProgress


def tune_space(
    space: Space,
    budget_s: float,
    *,
    mcpu: str | None = None,
    settings: TuningSettings | None = None,
    work: Path | None = None,
    packs: Path | None = None,
    on_progress: Callable[[TuningProgress], None] | None = None,
) -> TuningResult:
    """Returns the outcome of tuning a space's kernels for this processor for about `budget_s`.

    The same call goes on where the last one ended, also after a kill. The pack in use is where
    the search begins, so a new pack is as good as the old one or better.

    Args:
        space: a registered one; the process that tunes finds it by its name.
        budget_s: of wall time; the last round may end a minute late.
        mcpu: LLVM's name of the target; None takes the best x86-64 level of this processor.
        settings: of the search; None takes the defaults, with a builder for each core.
        work: the folder of the tuner's database; None takes one in the data folder.
        packs: the folder the pack goes to; None takes the one where devices look first.
        on_progress: hears of the state before each round.

    Raises:
        UnavailableError: this processor is not one of those TVM is used on here.
        MeasurementError: nothing could be built and run, or the process died.
    """
    if not levels_here():
        raise UnavailableError("tuning runs on x86-64-v2 processors and later, under Linux, and this is none")
    mcpu = mcpu or levels_here()[0]
    work = work or data_home() / "tuning" / f"{space.key}-{space.num_classes}.{mcpu}-tvm{tvm_version()}"
    request = {
        "space": space.name,
        "space_definition": space.definition,
        "num_classes": space.num_classes,
        "mcpu": mcpu,
        "work": str(work),
        "packs": str(packs or user_folder()),
        "budget_s": budget_s,
        "settings": asdict(settings or TuningSettings(workers=len(os.sched_getaffinity(0)))),
    }
    return _watched(request, work, on_progress or (lambda progress: None))


def make_pack(
    space: str, mcpu: str, known: Mapping[str, KernelRecord], start: Pack | None = None
) -> Pack | None:
    """Returns the pack of the best schedules; None where a kernel has none.

    Args:
        space: its key.
        mcpu: the target the kernels were tuned for.
        known: what the tuner knows of each kernel.
        start: the pack the search began with; its other kernels, such as those of classifiers with
            other numbers of classes, are kept.
    """
    if any(record.line is None for record in known.values()):
        return None
    best = {key: Schedule(one.line[1][0], one.best_us, one.trials) for key, one in known.items()}
    return Pack(
        space=space,
        mcpu=mcpu,
        tvm=str(tvm_version()),
        processor=processor_family(),
        made=datetime.now(timezone.utc).date().isoformat(),
        schedules={**(start.schedules if start and start.mcpu == mcpu else {}), **best},
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
        say(event="done", pack=str(pack) if pack else None)
    except HwnasError as error:
        say(event="failed", message=str(error))


def _tuned(request: Mapping[str, Any], on_progress: Callable[[TuningProgress], None]) -> Path | None:
    definition, classes = request["space_definition"], request["num_classes"]
    space = space_of_definition(definition, classes) if definition else get_space(request["space"], classes)
    kernels = kernels_of(space_layers(space))
    uses = expected_uses(space, kernels.plan, np.random.default_rng(0))
    start = pack_for(space.key)
    known = tune(
        kernels.functions,
        uses,
        request["mcpu"],
        Path(request["work"]),
        request["budget_s"],
        TuningSettings(**request["settings"]),
        on_progress,
        start=start.schedules if start else {},
    )
    pack = make_pack(space.key, request["mcpu"], known, start)
    return write_pack(pack, Path(request["packs"])) if pack else None


def _watched(
    request: Mapping[str, Any], work: Path, on_progress: Callable[[TuningProgress], None]
) -> TuningResult:
    files.write_text(work / "no-torch" / "torch.py", 'raise ImportError("kept out of tuning processes")\n')
    # Everything TVM starts would load torch where it finds it, 2 CPU s each time.
    paths = [str(work / "no-torch"), *(path for path in sys.path if path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TVM_NUM_THREADS": "1"}
    progress: TuningProgress | None = None
    with open(work / "process.log", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hwnas.profilers.tvm.making"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment,
        )
        with process:
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
                    return TuningResult(Path(event["pack"]) if event["pack"] else None, progress)
                progress = TuningProgress(**event)
                on_progress(progress)
    raise MeasurementError(
        f"the tuning process ended with code {process.returncode}; its log is {work / 'process.log'}; "
        "the same command goes on where it ended"
    )


def _end_with_stdin() -> None:
    while sys.stdin.readline():
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
