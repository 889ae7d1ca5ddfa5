"""Own images become models: python own_images.py PHOTOS 25ms OUTPUT [DEVICE [EPOCHS [N]]]."""

import sys
from pathlib import Path

import hwnas
from hwnas.progress import Silent
from hwnas.units import parse_time_ms


def main(
    photos: str, target: str, output: str, device: str = "cpu-ort", epochs: str = "30", n: str = "56"
) -> None:
    """Trains a supernet, searches it from N evaluations on, and prints the models that were exported."""
    folder = Path(output)
    data = hwnas.get_dataset(f"imagefolder:{photos}")
    space = hwnas.get_space("demo", data.num_classes)
    recipe = hwnas.preset("sandwich", space, epochs=int(epochs))
    road = hwnas.Road(
        supernet=hwnas.load_supernet(hwnas.train(space, data, recipe, folder / "supernet.safetensors")),
        dataset=data,
        devices=[hwnas.get_device(device, space)],
        settings=hwnas.SearchSettings(target_latency_ms=parse_time_ms(target), initial_evaluations=int(n)),
        folder=folder / "run",
        store=folder / "measurements.sqlite",
        export=True,
        progress=Silent(),
    ).travel()
    for one in road.front.members:
        accuracy, latency = one.accuracy_top1_test or {}, one.latency_ms[one.deploy_on]
        print(f"{one.id}: {accuracy['value']:.1f} % on test, {latency['value']:.3g} ms ({latency['kind']})")
    print(f"files: {folder / 'run' / 'models'}; page: {road.report}")


if __name__ == "__main__":
    main(*sys.argv[1:])
