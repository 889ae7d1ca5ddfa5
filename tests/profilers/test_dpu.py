"""The DPU cycle model: cycles by hand, board figures within the model's error, and what it refuses."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.profilers import dpu
from hwnas.spaces import Layer, Op
from tests.chains import residual_chain

KV260 = dpu.get_accelerator("kv260")
ZCU102 = dpu.get_accelerator("zcu102")


def mobilenet_v1() -> list[Op]:
    ops = list(Layer("conv", 3, 32, 224, 3, 2, activation="relu").ops)
    channels, size = 32, 112
    for out, stride in [
        *[(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)],
        *[(512, 1)] * 5,
        *[(1024, 2), (1024, 1)],
    ]:
        block = Layer("mbconv", channels, out, size, 3, stride, mid_channels=channels, activation="relu")
        ops += [op for op in block.ops if op.kind != "add"]
        channels, size = out, block.out_size_px
    return [*ops, *classifier(channels, size)]


def mobilenet_v2() -> list[Op]:
    return chain(
        Layer("conv", 3, 32, 224, 3, 2, activation="relu6"),
        [
            *[(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 3, 32, 3, 2), (6, 3, 64, 4, 2), (6, 3, 96, 3, 1)],
            *[(6, 3, 160, 3, 2), (6, 3, 320, 1, 1)],
        ],
    )


def efficientnet(se: bool) -> list[Op]:
    return chain(
        Layer("conv", 3, 32, 224, 3, 2, activation="h_swish" if se else "relu6"),
        [
            *[(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1)],
            *[(6, 5, 192, 4, 2), (6, 3, 320, 1, 1)],
        ],
        se=se,
    )


def chain(stem: Layer, stages: list[tuple[int, int, int, int, int]], se: bool = False) -> list[Op]:
    layers, channels, size = [stem], stem.out_channels, stem.out_size_px
    for expand, kernel, out, repeats, first_stride in stages:
        for stride in [first_stride, *[1] * (repeats - 1)]:
            block = Layer(
                *("mbconv", channels, out, size, kernel, stride, channels * expand, se),
                activation=stem.activation,
            )
            layers.append(block)
            channels, size = out, block.out_size_px
    layers.append(Layer("conv", channels, 1280, size, activation=stem.activation))
    return [*(op for layer in layers for op in layer.ops), *classifier(1280, size)]


def resnet50() -> list[Op]:
    ops = [Op("stem", "conv", 3, 64, 224, 7, 2), Op("pool", "max_pool", 64, 64, 112, 3, 2)]
    channels, size = 64, 56
    for width, repeats, first_stride in [(64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)]:
        for index in range(repeats):
            stride = first_stride if index == 0 else 1
            ops.append(Op("reduce", "conv", channels, width, size))
            middle = Op("middle", "conv", width, width, size, 3, stride)
            ops += [middle, Op("expand", "conv", width, 4 * width, middle.out_size_px)]
            if index == 0:
                ops.append(Op("skip", "conv", channels, 4 * width, size, stride=stride))
            channels, size = 4 * width, middle.out_size_px
            ops.append(Op("add", "add", channels, channels, size))
    return [*ops, *classifier(channels, size)]


def mobilenet_v3_small() -> list[Op]:
    layers, channels, size = [Layer("conv", 3, 16, 224, 3, 2, activation="h_swish")], 16, 112
    for kernel, mid, out, se, swish, stride in [
        *[(3, 16, 16, True, False, 2), (3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1)],
        *[(5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1)],
        *[(5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1), (5, 288, 96, True, True, 2)],
        *[(5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1)],
    ]:
        activation = "h_swish" if swish else "relu"
        block = Layer("mbconv", channels, out, size, kernel, stride, mid, se, activation)
        layers.append(block)
        channels, size = out, block.out_size_px
    layers.append(Layer("conv", channels, 576, size, activation="h_swish"))
    feature = Layer("conv", 576, 1024, 1, activation="h_swish", norm=False)
    pool, linear = classifier(576, size)[0], classifier(1024, 1)[1]
    return [*(op for layer in layers for op in layer.ops), pool, *feature.ops, linear]


def classifier(channels: int, size: int) -> list[Op]:
    pool = Layer("pool", channels, channels, size, kernel=size, norm=False)
    return [*pool.ops, *Layer("linear", channels, 1000, 1, norm=False).ops]


class TestCycles:
    """By hand for B4096: 8 pixels, 16 x 16 channels; the ALU takes 4 pixels of 16 channels."""

    def test_a_convolution(self) -> None:
        # ceil(28/8)=4 rows of 28, ceil(40/16)=3 output groups, ceil(72/16)=5 input groups.
        op = Op("project", "conv", 72, 40, 28)
        assert dpu.op_costs(op, KV260) == [dpu.OpCost("conv", 4 * 28 * 3 * 5, 72 * 40 + 4 * 40)]

    def test_a_3x3_convolution_with_stride(self) -> None:
        # 14 px out: ceil(14/8)=2, 14, ceil(48/16)=3, ceil(32/16)*9=18.
        op = Op("conv", "conv", 32, 48, 28, kernel=3, stride=2)
        assert dpu.op_costs(op, KV260)[0].cycles == 2 * 14 * 3 * 18

    def test_the_first_convolution_is_augmented_along_a_kernel_row(self) -> None:
        # 3 channels x 3 taps = 9 <= 16: one group a row, three rows, in place of nine.
        op = Op("conv", "conv", 3, 32, 224, kernel=3, stride=2)
        cost = dpu.op_costs(op, KV260)[0]
        assert cost.cycles == 14 * 112 * 2 * 3
        # 150,528 in and 401,408 out exceed the 524,288 on chip.
        assert cost.bytes == 864 + 4 * 32 + 150_528 + 401_408

    def test_seven_taps_of_three_channels_need_two_groups_a_row(self) -> None:
        op = Op("conv", "conv", 3, 64, 224, kernel=7, stride=2)
        assert dpu.op_costs(op, KV260)[0].cycles == 14 * 112 * 4 * (2 * 7)

    def test_a_depthwise_convolution(self) -> None:
        # 196 px / 4, 9 taps, ceil(144/16)=9 groups.
        op = Op("depthwise", "depthwise", 144, 144, 28, kernel=3, stride=2)
        assert dpu.op_costs(op, KV260) == [dpu.OpCost("alu", 49 * 9 * 9, 144 * 9 + 4 * 144)]

    def test_a_global_pool_and_an_addition(self) -> None:
        assert dpu.op_costs(Op("pool", "pool", 1280, 1280, 7), KV260) == [dpu.OpCost("alu", 1 * 49 * 80, 0)]
        assert dpu.op_costs(Op("add", "add", 24, 24, 56), KV260) == [dpu.OpCost("alu", 784 * 2, 0)]

    def test_a_pool_of_windows(self) -> None:
        # 3,136 px / 4, 9 taps, 4 groups; 802,816 in and 200,704 out exceed the 524,288 on chip.
        assert dpu.op_costs(Op("pool", "max_pool", 64, 64, 112, 3, 2), KV260) == [
            dpu.OpCost("alu", 784 * 9 * 4, 802_816 + 200_704)
        ]
        # An odd side: 29 px in, 15 out, the last window cut short: ceil(225/4)=57.
        assert dpu.op_costs(Op("pool", "average_pool", 32, 32, 29, 2, 2), KV260) == [
            dpu.OpCost("alu", 57 * 4 * 2, 0)
        ]

    def test_a_bottleneck_runs_its_shortcut_too(self) -> None:
        block = Layer("bottleneck", 64, 256, 56, 3, 2, 64, activation="relu")
        costs = [dpu.op_costs(op, KV260) for op in block.ops]
        assert [one.engine for (one,) in costs] == ["conv"] * 3 + ["alu", "conv", "alu"]
        assert dpu.layer_latency_ms(block, KV260) == pytest.approx(
            sum(one.latency_us(KV260) for (one,) in costs) / 1e3
        )

    def test_a_classifier_is_bound_by_its_weights(self) -> None:
        op = Op("linear", "linear", 1280, 1000, 1)
        (cost,) = dpu.op_costs(op, KV260)
        assert cost == dpu.OpCost("conv", 63 * 80, 1_284_000)
        assert cost.latency_us(KV260) == pytest.approx(1_284_000 / 8400 + 8.2)

    def test_a_compute_bound_operation_takes_its_cycles(self) -> None:
        op = Op("depthwise", "depthwise", 144, 144, 28, kernel=3, stride=2)
        assert dpu.latency_ms([op], KV260) == pytest.approx((49 * 81 * 1.07 / 300 + 8.2) / 1e3)

    def test_relu_is_free_and_h_swish_is_two_slow_passes(self) -> None:
        plain, relu, swish, gate = (
            dpu.op_costs(Op("c", "conv", 16, 16, 8, activation=a), KV260)
            for a in ("none", "relu6", "h_swish", "h_sigmoid")
        )
        assert plain == relu == swish[:1] == gate[:1]
        assert [cost.cycles for cost in swish[1:]] == [6 * 16, 6 * 16]
        assert len(gate) == 2

    def test_sizes_are_named_after_their_peak(self) -> None:
        for name in dpu.architecture_names():
            assert f"B{dpu.with_architecture(KV260, name).peak_ops_per_cycle}" == name
        assert KV260.feature_map_bytes == 512 * 1024
        assert dpu.with_architecture(KV260, "B1600").feature_map_bytes == 2 * 8 * 2048 * 10


class TestBoards:
    """Published rates (Vitis AI 3.0 model zoo, several threads) against the model."""

    @pytest.mark.parametrize(
        ("network", "frames_per_s", "percent"),
        [
            (mobilenet_v1, 431, 14),
            (mobilenet_v2, 338, 5),
            (resnet50, 89, 10),
            (lambda: efficientnet(se=False), 244, 10),
            # Two networks that fix the factor of slow passes between them.
            (lambda: efficientnet(se=True), 87, 10),
            (mobilenet_v3_small, 459, 20),
        ],
    )
    def test_kv260(self, network: Callable[[], list[Op]], frames_per_s: float, percent: float) -> None:
        assert dpu.latency_ms(network(), KV260) == pytest.approx(1e3 / frames_per_s, rel=percent / 100)

    @pytest.mark.parametrize(("network", "frames_per_s"), [(mobilenet_v2, 764), (resnet50, 190)])
    def test_zcu102_with_all_cores_busy(self, network: Callable[[], list[Op]], frames_per_s: float) -> None:
        busy = ZCU102.with_all_cores_busy()
        assert ZCU102.cores * 1e3 / dpu.latency_ms(network(), busy) == pytest.approx(frames_per_s, rel=0.1)

    def test_one_core_alone_is_faster_than_one_of_three(self) -> None:
        assert dpu.latency_ms(mobilenet_v2(), ZCU102) < dpu.latency_ms(
            mobilenet_v2(), ZCU102.with_all_cores_busy()
        )

    def test_a_smaller_dpu_is_slower(self) -> None:
        times = [
            dpu.latency_ms(mobilenet_v2(), dpu.with_architecture(KV260, name))
            for name in ("B4096", "B1600", "B512")
        ]
        assert times == sorted(times)

    def test_every_board_is_known_with_its_sources(self) -> None:
        assert dpu.board_names() == ["kv260", "ultra96", "zcu102", "zcu104"]
        assert ZCU102.clock_mhz == 281
        with pytest.raises(InputError, match="did you mean 'zcu102'"):
            dpu.get_accelerator("zcu-102")
        with pytest.raises(InputError, match="unknown DPU architecture 'B4097'"):
            dpu.with_architecture(KV260, "B4097")


class TestRefusal:
    CONV = Layer("conv", 32, 64, 28, kernel=3, weight_bits=8, activation_bits=8)

    def test_what_fits_is_not_refused(self) -> None:
        block = Layer("mbconv", 24, 40, 28, 5, 2, 144, True, "h_swish", weight_bits=8, activation_bits=8)
        pool = Layer("pool", 160, 160, 7, kernel=7, norm=False)
        assert [dpu.refusal(layer, ZCU102) for layer in (self.CONV, block, pool)] == [None] * 3
        assert [dpu.refusal(layer, ZCU102) for layer in residual_chain(224, 8)] == [None] * 10

    @pytest.mark.parametrize(
        ("layer", "reason"),
        [
            (replace(CONV, weight_bits=32, activation_bits=32), "8 bits only"),
            (replace(CONV, weight_bits=4), "8 bits only"),
            (replace(CONV, kernel=17), "kernels up to 16"),
            (replace(CONV, stride=9), "strides up to 8"),
            (replace(CONV, out_channels=4097), "at most 4096 channels"),
            (replace(CONV, in_channels=4096, kernel=5), "at most 2048, but got 6400"),
            (Layer("pool", 16, 16, 300, kernel=300, norm=False), "pools of at most 256 px"),
            (Layer("max_pool", 16, 16, 300, kernel=257), "pools of at most 256 px"),
        ],
    )
    def test_what_exceeds_the_core_is_refused(self, layer: Layer, reason: str) -> None:
        assert reason in str(dpu.refusal(layer, ZCU102))


class TestDescription:
    def test_a_description_file_comes_back(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.json"
        path.write_text(KV260.model_dump_json(), encoding="utf-8")
        assert dpu.read_accelerator(path) == KV260

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"clock_mhz": 0}, "clock_mhz: "),
            ({"clock_mhz": float("nan")}, "clock_mhz: "),
            ({"contention": 1.5}, "contention: "),
            ({"contention": float("nan")}, "contention: "),
            ({"speed": 3}, "speed: "),
            ({"pixel_parallel": 2.5}, "pixel_parallel: "),
            ({"name": ""}, "name: "),
        ],
    )
    def test_a_bad_field_is_named(self, tmp_path: Path, change: dict[str, object], message: str) -> None:
        path = tmp_path / "mine.json"
        path.write_text(json.dumps({**KV260.model_dump(), **change}), encoding="utf-8")
        with pytest.raises(InputError, match=f"mine.json: {message}") as caught:
            dpu.read_accelerator(path)
        assert "\n" not in str(caught.value)

    def test_a_file_that_is_no_description_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "list.json").write_text("[]", encoding="utf-8")
        with pytest.raises(InputError, match="the file: "):
            dpu.read_accelerator(tmp_path / "list.json")
        with pytest.raises(InputError, match="cannot read accelerator description"):
            dpu.read_accelerator(tmp_path / "none.json")


def test_energy_is_power_times_time_where_power_is_known() -> None:
    assert dpu.energy_mj(2.0, KV260) == pytest.approx(20.26)
    assert dpu.energy_mj(2.0, KV260.model_copy(update={"busy_power_w": None})) is None
