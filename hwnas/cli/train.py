"""`hwnas train`: trains a supernet to a file."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from hwnas.cli.fields import fields_as_options
from hwnas.cli.interrupt import Interrupted
from hwnas.cli.options import Data, Json, Seed, parsed_bits
from hwnas.cli.output import print_json, say, showing_progress
from hwnas.errors import HwnasError, InputError
from hwnas.progress import Progress, Silent
from hwnas.units import parse_time_ms

if TYPE_CHECKING:
    from hwnas.supernet import Supernet
    from hwnas.supernet.training.distributed import Group

EXAMPLE = "hwnas train --space demo --data digits -o supernet.safetensors"

# Options that change a field of the recipe of the same name.
_OF_RECIPE = (
    *("batch_size", "optimizer", "matrix_rate", "subnets", "learned_steps", "warmup_epochs"),
    *("weight_decay", "label_smoothing", "distillation", "dropout", "gradient_clip", "ema_decay"),
    *("precision", "mirror", "crop_area", "rand_augment_magnitude", "seed"),
)
# What one process of a job alone does, by the name that they agree on.
_SAY_WHY = "say why the job ends"


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of `hwnas train`."""

    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file to write, NAME.safetensors.", show_default=False)
    ]
    space: Annotated[
        str | None,
        typer.Option(
            "--space",
            help="A space, as `hwnas spaces` lists them, or a FILE.yaml; else that of --from, or demo.",
        ),
    ] = None
    data: Data = "digits"
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="What to start from: sandwich, progressive, attentive, fair, or quantization-aware.",
        ),
    ] = "sandwich"
    start: Annotated[
        Path | None,
        typer.Option("--from", help="A supernet to go on from; it stays as it is. `demo` is the built-in."),
    ] = None
    bits: Annotated[
        str | None,
        typer.Option("--bits", help="Bitwidths of quantization-aware training, such as 4,6,8 (its default)."),
    ] = None
    learned_steps: Annotated[
        bool | None,
        typer.Option(
            "--learned-steps",
            help="In quantization-aware training, learn step sizes (LSQ) beside the weights.",
        ),
    ] = None
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the train split, over all phases.")
    ] = None
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=2, help="Images a step, over all processes.")
    ] = None
    subnets: Annotated[
        int | None,
        typer.Option("--subnets", min=0, help="Subnets a step beside the largest and the smallest."),
    ] = None
    optimizer: Annotated[str | None, typer.Option("--optimizer", help="adamw, sgd or muon.")] = None
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="The highest learning rate of the first phase.")
    ] = None
    matrix_rate: Annotated[
        float | None,
        typer.Option("--matrix-rate", help="Muon's learning rate over that of all other weights."),
    ] = None
    warmup_epochs: Annotated[
        float | None,
        typer.Option("--warmup-epochs", help="Epochs in which the learning rate rises, in the first phase."),
    ] = None
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help="Of weights; biases and norms have none.")
    ] = None
    label_smoothing: Annotated[
        float | None, typer.Option("--label-smoothing", help="Share of the target spread over all classes.")
    ] = None
    distillation: Annotated[
        float | None,
        typer.Option("--distillation", help="Share of the teacher in what subnets learn."),
    ] = None
    dropout: Annotated[
        float | None, typer.Option("--dropout", help="Share of the classifier's inputs dropped.")
    ] = None
    gradient_clip: Annotated[
        float | None, typer.Option("--gradient-clip", help="Largest norm of the summed gradient.")
    ] = None
    ema_decay: Annotated[
        float | None, typer.Option("--ema-decay", help="Keep averaged weights, with this decay a step.")
    ] = None
    precision: Annotated[
        str | None, typer.Option("--precision", help="fp32, bf16, or fp16 (GPUs alone).")
    ] = None
    mirror: Annotated[
        bool | None, typer.Option("--mirror/--no-mirror", help="Mirror half of the images left to right.")
    ] = None
    crop_area: Annotated[
        float | None, typer.Option("--crop-area", help="Smallest area of random crops, as a share.")
    ] = None
    rand_augment: Annotated[
        int | None, typer.Option("--rand-augment", help="RandAugment operations an image; 0 for none.")
    ] = None
    rand_augment_magnitude: Annotated[
        int | None,
        typer.Option("--rand-augment-magnitude", help="Magnitude of RandAugment's operations, from 1 to 29."),
    ] = None
    torch_device: Annotated[
        str, typer.Option("--torch-device", help="cpu, cuda, cuda:1; auto takes a GPU where there is one.")
    ] = "auto"
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes that decode images; without it as many as pay."),
    ] = None
    tensorboard: Annotated[
        Path | None, typer.Option("--tensorboard", help="A folder to write figures for TensorBoard to.")
    ] = None
    checkpoint_every: Annotated[
        str, typer.Option("--checkpoint-every", help="Time between checkpoints, such as 30s or 10min.")
    ] = "30s"
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Processor threads; the result depends on it slightly."),
    ] = None
    seed: Seed = 0
    as_json: Json = False

    def changes(self) -> dict[str, Any]:
        """Returns what is asked for of a recipe, by its fields; None where nothing is."""
        return {
            **{name: getattr(self, name) for name in _OF_RECIPE},
            "rand_augment_ops": self.rand_augment,
            "bits": parsed_bits(self.bits) or None,
        }


@fields_as_options
def train(asked: TrainOptions) -> None:
    """Trains a supernet, under torchrun in several processes; the same command resumes it.

    hwnas train --recipe quantization-aware --from demo -o tuned.safetensors tunes one for few bits.

    torchrun --nproc-per-node 8 -m hwnas train ... gives the same result as one process does.
    """
    # Threads that spin while they wait take the processor from other processes of the job.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    from hwnas.supernet import read_info
    from hwnas.supernet.training.distributed import joined, process_device

    device = process_device(asked.torch_device)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    with (
        joined(device) as group,
        _progress(group.rank) as progress,
    ):
        try:
            _train(asked, group, device, progress)
        except KeyboardInterrupt:
            # The others see a process gone, or this one saw theirs: one of them says why.
            if group.is_first_to(_SAY_WHY):
                raise
            raise SystemExit(Interrupted.exit_code) from None
        except HwnasError as error:
            if group.is_first_to(_SAY_WHY):
                raise
            raise typer.Exit(error.exit_code) from error
        if group.rank:
            _leave()
    metrics = dict(read_info(asked.output).metrics)
    if asked.as_json:
        print_json({"supernet": str(asked.output), "metrics": metrics})
    else:
        for name, value in metrics.items():
            say(f"{name}: {value:.2f}")
        words = ["--supernet", str(asked.output), "--data", asked.data]
        say(f"next: hwnas search --target-latency 25ms {shlex.join(words)}")
    if group.size > 1:
        _leave()


def _train(asked: TrainOptions, group: "Group", device: str, progress: Progress) -> None:
    """Trains in this process of the job."""
    from hwnas.data import get_dataset
    from hwnas.spaces import open_space
    from hwnas.supernet import TrainProgress, adjusted, preset
    from hwnas.supernet import train as train_supernet

    def on_step(state: TrainProgress) -> None:
        progress.step("train", state.step, state.steps)
        if state.step % max(1, state.steps // state.epochs) == 0:
            speed = f"{state.images_per_second:.0f} images/s"
            progress.say(
                f"epoch {state.epoch}/{state.epochs} ({state.phase}): loss {state.loss:.3f}, {speed}"
            )

    dataset = get_dataset(asked.data)
    begun = _opened_start(asked.start, asked.recipe)
    if begun is not None and asked.space is None:
        space = begun.space
    else:
        space = open_space(asked.space or "demo", dataset.num_classes)
    train_supernet(
        space,
        dataset,
        adjusted(preset(asked.recipe, space, asked.epochs, asked.learning_rate), asked.changes()),
        asked.output,
        on_step,
        torch_device=device,
        workers=asked.workers,
        tensorboard=asked.tensorboard,
        group=group,
        start=begun,
        checkpoint_seconds=parse_time_ms(asked.checkpoint_every, "--checkpoint-every") / 1e3,
    )


def _leave() -> NoReturn:
    """Ends a process of a finished job at once.

    In Python's own last moments a thread of torch's may abort it, and the job would count as failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _opened_start(path: Path | None, recipe: str) -> "Supernet | None":
    """Returns the supernet that training goes on from.

    Raises:
        InputError: the file holds none, or a recipe that tunes one has none.
    """
    from hwnas.supernet import demo_supernet_path, load_supernet

    if path is None:
        if recipe == "quantization-aware":
            raise InputError(
                "--recipe quantization-aware tunes a supernet that is trained already; name it with "
                "--from FILE (--from demo takes the built-in one)"
            )
        return None
    return load_supernet(demo_supernet_path() if str(path) == "demo" else path)


@contextmanager
def _progress(rank: int) -> Iterator[Progress]:
    """Yields what shows progress, and hears of Ctrl-C: of several processes, one alone."""
    if rank == 0:
        with showing_progress() as progress:
            yield progress
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield Silent()
    finally:
        signal.signal(signal.SIGINT, before)
