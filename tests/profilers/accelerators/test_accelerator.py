"""What every accelerator promises: parts add up, refusals name, fallbacks price, files tell mistakes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import InputError
from hwnas.profilers import get_device
from hwnas.profilers.accelerators.accelerator import Accelerator
from hwnas.profilers.accelerators.shipped import shipped_fields, shipped_names, shipped_text
from hwnas.profilers.cost_models import AcceleratorModel
from hwnas.profilers.device_file import device_file
from hwnas.profilers.registry import yaml_of_device
from hwnas.profilers.simulated import SimulatedDevice
from hwnas.spaces import Layer, get_space

BLOCK = Layer("mbconv", 24, 24, 28, 5, 1, 144, True, "h_swish", weight_bits=8, activation_bits=8)
POOL = Layer("pool", 160, 160, 7, kernel=7, norm=False)
FALLBACK: dict[str, Any] = {
    "processor": "4 x Cortex-A53",
    "gmacs_per_s": 4.0,
    "bandwidth_gb_per_s": 1.0,
    "start_us": 200.0,
    "busy_power_w": 3.0,
}


def described(name: str, **changes: object) -> Accelerator:
    file = device_file({**shipped_fields(name), **changes}, name)
    assert isinstance(file, Accelerator)
    return file


@pytest.mark.parametrize("name", shipped_names())
class TestContract:
    def test_parts_add_up_to_the_layer_and_to_its_row(self, name: str) -> None:
        device = get_device(name)
        assert isinstance(device, SimulatedDevice)
        for layer in (BLOCK, POOL):
            total = device.model.table([layer]).total([layer])
            assert sum(device.model.parts(layer).values()) == pytest.approx(total.latency_ms)
            assert total.energy_mj is not None
            assert total.energy_mj > 0

    def test_every_pair_runs_and_fewer_bits_are_never_slower(self, name: str) -> None:
        accelerator = described(name)
        times = {}
        for weights, activations in accelerator.pairs:
            layer = replace(BLOCK, weight_bits=weights, activation_bits=activations)
            assert accelerator.refusal(layer) is None
            times[weights, activations] = accelerator.total(layer).latency_ms
        for (w, a), time in times.items():
            assert all(time <= other for (v, b), other in times.items() if w <= v and a <= b)

    def test_a_space_has_a_row_for_every_layer_at_every_pair(self, name: str) -> None:
        device, space = get_device(name), get_space("demo")
        assert isinstance(device, SimulatedDevice)
        weighted = sum(layer.quantizable for layer in space.vocabulary)
        rows = device.table(space).rows
        assert len(rows) == weighted * len(device.bit_pairs) + len(space.vocabulary) - weighted

    def test_the_file_that_is_printed_is_the_device_itself(self, name: str, tmp_path: Path) -> None:
        text = yaml_of_device(name)
        assert text == shipped_text(name)
        path = tmp_path / "same.yaml"
        path.write_text(text)
        assert get_device(str(path)).fingerprint().digest == get_device(name).fingerprint().digest

    def test_a_changed_copy_is_another_device(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        text = shipped_text(name).replace(f"name: {name}", "name: mine")
        path.write_text(text.replace("clock_mhz: ", "clock_mhz: 1"))
        mine = get_device(str(path))
        assert mine.name == "mine"
        assert mine.fingerprint().digest != get_device(name).fingerprint().digest
        assert isinstance(mine, SimulatedDevice)
        assert mine.model.table([BLOCK]).total([BLOCK]).latency_ms < described(name).total(BLOCK).latency_ms

    def test_every_figure_has_a_source(self, name: str) -> None:
        fields = shipped_fields(name)
        told = {field.strip() for key in fields["sources"] for field in key.split(",")}
        given = {
            field for field, value in fields.items() if isinstance(value, int | float) or field == "size"
        }
        chosen = {"weight_bits", "activation_bits", "busy_cores", "static_w", "partial_sum_bits"}
        assert given - told - chosen == set()


class TestFallback:
    def test_what_it_lacks_is_refused_by_name(self) -> None:
        accelerator = described("fpga-kv260-dpu", lacks=["h_swish", "scale"])
        assert accelerator.refusal(BLOCK) == "expand: it has no h_swish"
        gated = replace(BLOCK, activation="relu")
        assert accelerator.refusal(gated) == "se_expand: it has no h_sigmoid"
        device = SimulatedDevice("mine", AcceleratorModel(accelerator))
        with pytest.raises(InputError, match=r"cannot run layer stages.1.0: expand: it has no h_swish"):
            device.check([replace(BLOCK, name="stages.1.0")])

    def test_with_a_fallback_it_is_priced_there_by_hand(self) -> None:
        plain = described("fpga-kv260-dpu")
        accelerator = described("fpga-kv260-dpu", lacks=["scale"], fallback=FALLBACK)
        assert accelerator.refusal(BLOCK) is None
        prices, before = accelerator.prices(BLOCK), plain.prices(BLOCK)
        # Twice the map and the factors, a byte each, at 1 GB/s.
        moved_us = (144 * 784 + 144 * 784) / 1e3
        assert prices["se_scale"].latency_ms == pytest.approx((200 + moved_us) / 1e3)
        assert prices["se_scale"].energy_mj == pytest.approx(3 * prices["se_scale"].latency_ms)
        assert {name: price for name, price in prices.items() if name != "se_scale"} == {
            name: price for name, price in before.items() if name != "se_scale"
        }
        (row,) = AcceleratorModel(accelerator).table([BLOCK]).rows.values()
        assert "se_scale on 4 x Cortex-A53" in row.source

    def test_arithmetic_counts_there_too(self) -> None:
        accelerator = described("bitfusion", lacks=["linear"], fallback={**FALLBACK, "busy_power_w": None})
        layer = Layer("linear", 1280, 1000, 1, norm=False, weight_bits=8, activation_bits=8)
        price = accelerator.total(layer)
        assert price.latency_ms == pytest.approx((200 + 1_282_280 / 1e3) / 1e3)  # weights and maps, 1 GB/s
        assert price.energy_mj is None

    def test_bits_are_never_the_fallbacks_business(self) -> None:
        accelerator = described("fpga-kv260-dpu", fallback=FALLBACK)
        assert "w8a8 bits only" in str(accelerator.refusal(replace(BLOCK, weight_bits=4)))


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "change", "message"),
        [
            ("fpga-kv260-dpu", {"clock_mhz": 0}, "clock_mhz must be greater than 0"),
            ("fpga-kv260-dpu", {"contention": 1.5}, "contention must be less than or equal to 1"),
            ("fpga-kv260-dpu", {"speed": 3}, "speed is no field"),
            ("fpga-kv260-dpu", {"size": "B4097"}, "size must be one of B512, .* but got 'B4097'"),
            ("fpga-kv260-dpu", {"board": "zcu1"}, "board must be one of kv260, .* but got 'zcu1'"),
            ("fpga-zcu102-dpu", {"busy_cores": 2}, "busy_cores must be 1 or all 3 cores, but got 2"),
            ("fpga-kv260-dpu", {"lacks": ["gelu"]}, "lacks must be some of conv, .* but got"),
            ("bitfusion", {"weight_bits": [8, 1]}, "weight_bits must be bits from 2 to 8"),
            ("bitfusion", {"norm": 0.5}, "norm must be greater than or equal to 1"),
            ("bismo", {"rows": 2.5}, "rows must be a valid integer"),
            ("bismo", {"fallback": {"processor": "x"}}, "fallback must have .*start_us too"),
        ],
    )
    def test_a_mistake_is_named(self, name: str, change: dict[str, object], message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            described(name, **change)
        assert "\n" not in str(caught.value)

    def test_a_missing_figure_is_named(self) -> None:
        fields = shipped_fields("bitfusion")
        del fields["rows"]
        with pytest.raises(InputError, match="must have rows too"):
            device_file(fields, "mine")

    def test_a_board_fills_what_is_not_given(self) -> None:
        mine = device_file({"name": "mine", "runtime": "dpu", "board": "zcu102", "size": "B1600"}, "mine")
        fields = {**shipped_fields("fpga-zcu102-dpu"), "name": "mine", "size": "B1600", "sources": {}}
        assert mine == device_file(fields, "mine")
