"""The search for fast schedules: every kernel of a space a little, then the ones that matter more."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import MeasurementError
from hwnas.profilers.tvm.intrinsics import prepare_tvm
from hwnas.profilers.tvm.kernels.packs import Schedule
from hwnas.profilers.tvm.kernels.plan import applied, kernel_module
from hwnas.profilers.tvm.kernels.schedule_float import sketches
from hwnas.profilers.tvm.target import Target
from hwnas.profilers.tvm.tuning import records
from hwnas.profilers.tvm.tuning.building import lasting_builder
from hwnas.profilers.tvm.tuning.records import FAILED_S
from hwnas.profilers.tvm.tuning.schedule_space import schedule_space


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """The knobs of the search; a light evolutionary one does as well as TVM's default at half the CPU.

    Attributes:
        first_trials: candidates a kernel in the pass over all of them.
        more_trials: candidates a kernel each time it is taken up again.
        kernels_a_round: kernels tuned together; the time budget is looked at between rounds.
        population: schedules the search keeps; TVM's 512 spends most CPU on search.
        generations: of the search before each batch.
        batch: candidates built and timed together.
        workers: processes that build.
        build_timeout_s, run_timeout_s: after which a candidate counts as failed.
        min_repeat_ms: how long each candidate is timed.
        seed: of the search.
    """

    first_trials: int = 8
    more_trials: int = 16
    kernels_a_round: int = 8
    population: int = 64
    generations: int = 2
    batch: int = 8
    workers: int = 2
    build_timeout_s: float = 30.0
    run_timeout_s: float = 20.0
    min_repeat_ms: int = 20
    seed: int = 1


@dataclass(frozen=True)
class TuningProgress:
    """How far a search is: kernels that have a schedule, trials in all, and a net's expected time."""

    tuned: int
    kernels: int
    trials: int
    expected_us: float
    elapsed_s: float


def tune(
    functions: Mapping[str, Any],
    uses: Mapping[str, float],
    target: Target,
    work: Path,
    budget_s: float,
    settings: TuningSettings,
    on_round: Callable[[TuningProgress, Mapping[str, records.KernelRecord]], None],
    start: Mapping[str, Schedule],
    remote: Mapping[str, Any] | None = None,
) -> dict[str, records.KernelRecord]:
    """Searches schedules for kernels until the budget is spent; returns what is known of each kernel.

    The database in `work` is the state: the same call goes on where the last one ended. The
    budget bounds rounds, not calls: the last round may end up to a minute late. Each kernel begins
    with what is known and with schedules by rule, timed side by side.

    Args:
        functions: PrimFuncs by key.
        uses: how often an average network calls each kernel; what it is worth to make it faster.
        target: what to tune for.
        work: the folder of the database; made if missing.
        budget_s: of wall time.
        settings: of the search.
        on_round: hears of the state, and of what is known, before each round and at the end.
        start: schedules known already.
        remote: the address of the servers that time candidates; None times them here.

    Raises:
        MeasurementError: no candidate of the first round could be built and run.
    """
    prepare_tvm()
    work.mkdir(parents=True, exist_ok=True)
    records.mend(work)
    started = time.monotonic()
    search = _Search(functions, target, work, settings, remote, start)
    while True:
        known = search.known()
        elapsed_s = time.monotonic() - started
        on_round(_progress(known, uses, elapsed_s), known)
        if elapsed_s >= budget_s:
            return known
        chosen, trials = next_round(known, uses, settings)
        before = {key: known[key] for key in chosen}
        search.run(search.time_listed(before, trials), trials)
        search.confirm(before)
        if all(record.line is None for record in search.known().values()):
            raise MeasurementError(
                f"tuning for {target.name}: no candidate of {len(chosen)} kernels could be built and run, "
                f"first error: {search.first_error()}; see the logs in {work / 'logs'}"
            )


def next_round(
    known: Mapping[str, records.KernelRecord], uses: Mapping[str, float], settings: TuningSettings
) -> tuple[list[str], int]:
    """Returns the kernels to tune next and the trials for each.

    First those that have no schedule, most used ones first; then those with the largest share of
    a network's time for the trials they have had, since gains shrink about as one over trials.
    """
    fresh = [key for key, one in known.items() if one.line is None and one.trials < 4 * settings.first_trials]
    if fresh:
        chosen = sorted(fresh, key=lambda key: -uses.get(key, 0.0))[: settings.kernels_a_round]
        return chosen, settings.first_trials
    worth = {key: uses.get(key, 0.0) * _time_us(record) / record.trials for key, record in known.items()}
    return sorted(worth, key=lambda key: -worth[key])[: settings.kernels_a_round], settings.more_trials


def _time_us(record: records.KernelRecord) -> float:
    return record.best_us if record.line is not None else 1e3


def _progress(
    known: Mapping[str, records.KernelRecord], uses: Mapping[str, float], elapsed_s: float
) -> TuningProgress:
    tuned = [key for key, record in known.items() if record.line is not None]
    return TuningProgress(
        tuned=len(tuned),
        kernels=len(known),
        trials=sum(record.trials for record in known.values()),
        expected_us=sum(uses.get(key, 0.0) * known[key].best_us for key in tuned),
        elapsed_s=elapsed_s,
    )


class _Search:
    """MetaSchedule with its workers, for as long as one call of `tune` lasts."""

    def __init__(
        self,
        functions: Mapping[str, Any],
        target: Target,
        work: Path,
        settings: TuningSettings,
        remote: Mapping[str, Any] | None,
        start: Mapping[str, Schedule],
    ) -> None:
        from tvm.s_tir import meta_schedule as ms
        from tvm_ffi import structural_hash

        self._target = target.to_tvm()
        self._space = target
        self._work, self._settings, self._start = work, settings, start
        self._modules = {key: kernel_module(function) for key, function in functions.items()}
        self._database = ms.database.JSONDatabase(work_dir=str(work))
        for module in self._modules.values():
            self._database.commit_workload(module)
        self._hashes = {key: str(structural_hash(module)) for key, module in self._modules.items()}
        self._builder = lasting_builder(settings.workers, settings.build_timeout_s, target.triple)
        self._runner = _runner(settings, remote)
        # One model for all rounds: it guesses at random until it has seen a hundred candidates.
        self._cost_model = ms.cost_model.XGBModel(num_tuning_cores=settings.workers)
        self._rounds = 0
        self._errors: list[str] = []

    def known(self) -> dict[str, records.KernelRecord]:
        by_hash = records.read_records(self._work)
        return {key: by_hash[name] for key, name in self._hashes.items()}

    def run(self, chosen: Sequence[str], trials: int) -> None:
        """Searches further schedules of kernels by TVM's own rules."""
        if not chosen:
            return
        from tvm.s_tir import meta_schedule as ms
        from tvm.s_tir.meta_schedule.logging import get_loggers_from_work_dir

        loggers = get_loggers_from_work_dir(str(self._work), list(chosen))
        seed = self._settings.seed + 7919 * (self._rounds + self._trials_so_far())
        self._rounds += 1
        contexts = [
            ms.TuneContext(
                mod=self._modules[key],
                target=self._target,
                space_generator=schedule_space(self._space),
                search_strategy=self._strategy(),
                task_name=key,
                logger=logger,
                rand_state=ms.utils.fork_seed(seed + index, n=1)[0],
                num_threads=self._settings.workers,
            ).clone()
            for index, (key, logger) in enumerate(zip(chosen, loggers, strict=True))
        ]
        ms.tune_tasks(
            tasks=contexts,
            task_weights=[1.0] * len(contexts),
            work_dir=str(self._work),
            max_trials_global=trials * len(contexts),
            max_trials_per_task=trials,
            num_trials_per_iter=self._settings.batch,
            builder=self._builder,
            runner=self._runner,
            database=self._database,
            cost_model=self._cost_model,
            task_scheduler="round-robin",
        )

    def time_listed(self, known: Mapping[str, records.KernelRecord], trials: int) -> list[str]:
        """Times schedules that need no search; returns the kernels that had none left.

        Those are the one known before, for a kernel new to the database, and the next ones by rule.

        Args:
            known: of each kernel to take up.
            trials: schedules by rule for each.
        """
        candidates: list[tuple[str, Any]] = []
        for key, record in known.items():
            if key in self._start and not record.trials:
                candidates.append((key, self._applied(key, self._start[key].trace)))
            tried = max(0, record.trials - (key in self._start))
            found = list(sketches(self._modules[key], self._space, tried + trials))[tried:]
            candidates += [(key, sketch) for sketch in found]
        self._time(candidates)
        return [key for key in known if all(key != other for other, _ in candidates)]

    def confirm(self, before: Mapping[str, records.KernelRecord]) -> None:
        """Times the best schedules of before and of now once more, side by side: machines drift meanwhile."""
        after = self.known()
        pairs = [
            (key, line)
            for key, record in before.items()
            for line in (record.line, after[key].line)
            if record.line is not None and record.line != after[key].line
        ]
        self._time([(key, self._applied(key, line[1][0])) for key, line in pairs])

    def _applied(self, key: str, trace: Any) -> Any:
        return applied(self._modules[key], Schedule(trace, 1.0, 1), key)

    def _time(self, candidates: Sequence[tuple[str, Any]]) -> None:
        """Enters candidates into the database, with the time they take here; failed ones as failed."""
        from tvm.s_tir.meta_schedule.arg_info import ArgInfo
        from tvm.s_tir.meta_schedule.builder import BuilderInput
        from tvm.s_tir.meta_schedule.database import TuningRecord
        from tvm.s_tir.meta_schedule.runner import RunnerInput

        built = self._builder.build([BuilderInput(one.mod, self._target) for _, one in candidates])
        for (key, sketch), result in zip(candidates, built, strict=True):
            arguments = ArgInfo.from_prim_func(self._modules[key]["main"])
            times_s, error = [], result.error_msg
            if result.artifact_path is not None:
                (future,) = self._runner.run([RunnerInput(result.artifact_path, "cpu", arguments)])
                outcome = future.result()
                times_s, error = outcome.run_secs, outcome.error_msg
                shutil.rmtree(Path(result.artifact_path).parent, ignore_errors=True)
            if not times_s:
                self._errors.append(str(error).strip().splitlines()[-1][:200])
            workload = self._database.commit_workload(self._modules[key])
            times_s = times_s or [FAILED_S]
            self._database.commit_tuning_record(
                TuningRecord(sketch.trace, workload, times_s, self._target, arguments)
            )

    def first_error(self) -> str:
        if self._errors:
            return self._errors[0]
        for log in sorted((self._work / "logs").glob("*task_*.log")):
            for line in log.read_text(errors="replace").splitlines():
                if "Error" in line and "building" not in line and "running" not in line:
                    return line.strip()[:200]
        return "none logged"

    def _trials_so_far(self) -> int:
        return sum(record.trials for record in self.known().values())

    def _strategy(self) -> Any:
        from tvm.s_tir import meta_schedule as ms

        return ms.search_strategy.EvolutionarySearch(
            population_size=self._settings.population,
            init_min_unmeasured=24,
            genetic_num_iters=self._settings.generations,
            genetic_max_fail_count=5,
        )


def _runner(settings: TuningSettings, remote: Mapping[str, Any] | None) -> Any:
    from tvm.s_tir import meta_schedule as ms

    if remote is not None:
        from hwnas.profilers.tvm.remote.timing import rpc_runner

        return rpc_runner(remote, settings.run_timeout_s, settings.min_repeat_ms)
    return ms.runner.LocalRunner(
        timeout_sec=settings.run_timeout_s,
        initializer=prepare_tvm,
        evaluator_config=ms.runner.EvaluatorConfig(number=3, repeat=1, min_repeat_ms=settings.min_repeat_ms),
    )
