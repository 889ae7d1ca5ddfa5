"""`hwnas train`: trains a supernet to a file."""

from pathlib import Path
from typing import Annotated

import typer

from hwnas.cli.options import Data, Json, Seed, SpaceName
from hwnas.cli.output import print_json, say, showing_progress

EXAMPLE = "hwnas train --space demo --data digits -o supernet.safetensors"


def train(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The file to write, NAME.safetensors.", show_default=False)
    ],
    space: SpaceName = "demo",
    data: Data = "digits",
    recipe: Annotated[
        str, typer.Option("--recipe", help="Which subnets a step trains: sandwich.")
    ] = "sandwich",
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the train split.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=2, help="Images a step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="The highest, after the warm-up.")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Processor threads; the result depends on it slightly."),
    ] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Trains a supernet; the same command resumes it after any interruption."""
    from hwnas.data import get_dataset
    from hwnas.errors import unknown_name
    from hwnas.spaces import get_space
    from hwnas.supernet import TrainProgress, TrainRecipe, load_supernet
    from hwnas.supernet import train as train_supernet

    if recipe != "sandwich":
        raise unknown_name("recipe", recipe, ["sandwich"])
    if threads:
        import torch

        torch.set_num_threads(threads)
    dataset = get_dataset(data)
    defaults = TrainRecipe()
    chosen = TrainRecipe(
        epochs=epochs or defaults.epochs,
        batch_size=batch_size or defaults.batch_size,
        learning_rate=defaults.learning_rate if learning_rate is None else learning_rate,
        seed=seed,
    )
    with showing_progress() as progress:

        def on_step(state: TrainProgress) -> None:
            progress.step("train", state.step, state.steps)
            if state.step % max(1, state.steps // state.epochs) == 0:
                speed = f"{state.images_per_second:.0f} images/s"
                progress.say(f"epoch {state.epoch}/{state.epochs}: loss {state.loss:.3f}, {speed}")

        chosen_space = get_space(space, dataset.num_classes)
        path = train_supernet(chosen_space, dataset, chosen, output, on_step)
    info = load_supernet(path).info
    metrics = dict(info.metrics) if info else {}
    if as_json:
        print_json({"supernet": str(path), "metrics": metrics})
        return
    for name, value in metrics.items():
        say(f"{name}: {value}")
    say(f"next: hwnas search --target-latency 25ms --supernet {path} --data {data}")
