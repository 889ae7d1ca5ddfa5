"""What describes hardware or comes from it: accelerators, constants, counters, caches of kernels."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from . import mutations as spoil
from .reader import Reader, demo, each, printed


def _accelerators() -> dict[str, bytes]:
    from hwnas.profilers.accelerators.shipped import shipped_names, shipped_text

    named = {name: shipped_text(name) for name in shipped_names()}
    # The name of a built-in device is refused for a file of one's own.
    return {
        f"{name}.yaml": text.replace(f"name: {name}", "name: mine").encode() for name, text in named.items()
    }


def _use_accelerators(folder: Path) -> None:
    from hwnas.profilers.registry import get_device, yaml_of_device

    space = demo()
    layers = space.layers(space.smallest())

    def one(path: Path) -> None:
        device: Any = get_device(str(path), space)
        printed([str(device.fingerprint().digest), device.bit_pairs, device.model.energy_boundary])
        table = device.model.table(layers)
        printed([[cost.latency_ms, cost.energy_mj] for cost in table.rows.values()])
        yaml_of_device(str(path), space)

    each(*(partial(one, path) for path in sorted(folder.glob("*.yaml"))))


def _constants() -> dict[str, bytes]:
    from hwnas.profilers.energy import model

    return {"c.yaml": (Path(model.__file__).parent / "constants.yaml").read_bytes()}


def _use_constants(folder: Path) -> None:
    from hwnas.profilers.energy.model import modelled_energy_mj, read_energy_model

    model = read_energy_model(folder / "c.yaml")
    space = demo()
    printed([model.model_dump(), modelled_energy_mj(space.layers(space.smallest()), 1.0, model)])


# --- counters, under a sysfs that a device file may name


def _counters() -> dict[str, bytes]:
    rapl, hwmon = "class/powercap/intel-rapl:", "class/hwmon/hwmon"
    return {
        f"{rapl}0/name": b"package-0\n",
        f"{rapl}0/energy_uj": b"123456\n",
        f"{rapl}0/max_energy_range_uj": b"262143328850\n",
        f"{rapl}0:0/name": b"dram\n",
        f"{rapl}0:0/energy_uj": b"99\n",
        f"{rapl}0:0/max_energy_range_uj": b"65712999613\n",
        f"{hwmon}0/name": b"ina3221\n",
        f"{hwmon}0/in1_label": b"VDD_IN\n",
        f"{hwmon}0/in1_input": b"5000\n",
        f"{hwmon}0/curr1_input": b"800\n",
        f"{hwmon}1/name": b"ina226\n",
        f"{hwmon}1/power1_input": b"2500000\n",
    }


def _use_counters(folder: Path) -> None:
    from hwnas.profilers.energy.meters import meter_of
    from hwnas.profilers.energy.settings import EnergySettings

    def one(kind: Any, rails: tuple[str, ...]) -> None:
        settings = EnergySettings(meter=kind, sysfs=str(folder), rails=rails, interval_ms=1000.0)
        meter = meter_of(kind, settings)
        printed(meter.facts())
        with meter.opened() as read:
            printed([read(), read()])

    each(partial(one, "rapl", ()), partial(one, "hwmon", ("ina3221", "ina226/1")), partial(one, "hwmon", ()))


# --- kernels: the table of a library, the tuner's database


def _table() -> dict[str, bytes]:
    from dataclasses import asdict

    space = demo()
    first, *_ = space.layers(space.smallest())
    kernel = {"size_bytes": 3, "flops": 1e6, "best_us": 2.0, "made": "tuned", "workspace_bytes": 0}
    steps = [["k0", ["input", "w"], [1, 8, 4, 4], "float32"]]
    value = {"format": 3, "kernels": {"k0": kernel}, "layers": [[asdict(first), True, [*steps]]]}
    return {"table.json": json.dumps(value).encode(), "k0.o": b"abc"}


def _use_table(folder: Path) -> None:
    from hwnas.errors import InputError
    from hwnas.profilers.tvm.compiled.library import _opened
    from hwnas.profilers.tvm.kernels.packs import Pack
    from hwnas.profilers.tvm.target import Target

    found = _opened(folder, Pack("demo", Target(mcpu="x86-64-v3"), "0", "any", "2026", {}), True)
    if not found.kernels:
        raise InputError("it is as if there were none")
    printed(vars(found.coverage(found.kernels)))


def _records() -> dict[str, bytes]:
    rows = [[0, [["trace"], [0.001, 0.002], {}, []]], [1, [["other"], [1e10], {}, []]]]
    return {
        "database_workload.json": b'["h0", {}]\n["h1", {}]\n',
        "database_tuning_record.json": "".join(json.dumps(row) + "\n" for row in rows).encode(),
    }


def _use_records(folder: Path) -> None:
    from hwnas.profilers.tvm.tuning.records import mend, read_records

    mend(folder)
    printed({key: [one.trials, str(one.best_us)] for key, one in read_records(folder).items()})


HARDWARE: dict[str, Reader] = {
    "accelerator": Reader(
        _accelerators,
        spoil.any_of(spoil.in_bytes, spoil.in_text, spoil.in_text),
        _use_accelerators,
        apart=True,
    ),
    "constants": Reader(
        _constants, spoil.any_of(spoil.in_bytes, spoil.in_text, spoil.in_text), _use_constants
    ),
    "counters": Reader(_counters, spoil.any_of(spoil.in_bytes, spoil.in_text), _use_counters),
    "kernels": Reader(_table, spoil.any_of(spoil.in_bytes, spoil.in_json, spoil.in_json), _use_table),
    "records": Reader(
        _records, spoil.any_of(spoil.in_bytes, spoil.in_json_lines, spoil.in_json_lines), _use_records
    ),
}
