"""The DPU cycle model: cycles by hand, board figures within the model's error, and what it refuses."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.profilers.accelerators import dpu
from hwnas.spaces import Layer, Op
from tests.chains import residual_chain

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
from accelerators import NETWORKS, published

KV260 = dpu.get_dpu("kv260")
ZCU102 = dpu.get_dpu("zcu102")


def kv260(size: str) -> dpu.Dpu:
    return dpu.Dpu.model_validate({"name": "mine", "runtime": "dpu", "board": "kv260", "size": size})


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
        assert dpu.latency_ms(block.ops, KV260) == pytest.approx(
            sum(one.working_us(KV260) + 6.88 for (one,) in costs) / 1e3
        )

    def test_a_classifier_is_bound_by_its_weights(self) -> None:
        op = Op("linear", "linear", 1280, 1000, 1)
        (cost,) = dpu.op_costs(op, KV260)
        assert cost == dpu.OpCost("conv", 63 * 80, 1_284_000)
        assert cost.working_us(KV260) == pytest.approx(1_284_000 / 8237)

    def test_a_compute_bound_operation_takes_its_cycles(self) -> None:
        op = Op("depthwise", "depthwise", 144, 144, 28, kernel=3, stride=2)
        assert dpu.latency_ms([op], KV260) == pytest.approx((49 * 81 * 1.497 / 300 + 6.88) / 1e3)

    def test_a_depthwise_convolution_runs_beside_the_one_that_reads_it(self) -> None:
        block = Layer("mbconv", 32, 64, 28, 3, 1, mid_channels=32, activation="relu")
        depthwise, project = block.ops
        alone = [dpu.latency_ms([op], KV260) for op in (depthwise, project)]
        shorter_us = min(dpu.op_costs(op, KV260)[0].working_us(KV260) for op in (depthwise, project))
        hidden = 0.747 * shorter_us / 1e3
        assert dpu.latency_ms(block.ops, KV260) == pytest.approx(sum(alone) - hidden)
        # With squeeze-and-excitation between them nothing overlaps.
        gated = Layer("mbconv", 32, 64, 28, 3, 1, mid_channels=32, se=True, activation="relu").ops
        assert dpu.latency_ms(gated, KV260) == pytest.approx(sum(dpu.latency_ms([op], KV260) for op in gated))

    def test_relu_is_free_and_h_swish_is_two_slow_passes(self) -> None:
        plain, relu, swish, gate = (
            dpu.op_costs(Op("c", "conv", 16, 16, 8, activation=a), KV260)
            for a in ("none", "relu6", "h_swish", "h_sigmoid")
        )
        assert plain == relu == swish[:1] == gate[:1]
        assert [cost.cycles for cost in swish[1:]] == [round(2.147 * 16)] * 2
        assert len(gate) == 2

    def test_sizes_are_named_after_their_peak(self) -> None:
        for name in dpu.SIZES:
            assert kv260(name).size == name
        assert KV260.feature_map_bytes == 512 * 1024
        assert kv260("B1600").feature_map_bytes == 2 * 8 * 2048 * 10


class TestBoards:
    """Published rates against the shipped descriptions; the whole table: benchmarks/accelerators.py."""

    @staticmethod
    def errors(board: str, source: str = "") -> list[float]:
        busy = dpu.get_dpu(board)
        busy = busy.model_copy(update={"busy_cores": busy.cores})
        rows = [row for row in published() if source in row["source"]]
        times = [dpu.latency_ms(NETWORKS[row["network"]](), busy) / busy.cores for row in rows]
        return [100 * (time * float(row[board]) / 1e3 - 1) for time, row in zip(times, rows, strict=True)]

    @pytest.mark.parametrize(("board", "percent"), [("kv260", 5), ("zcu104", 10), ("zcu102", 10)])
    @pytest.mark.parametrize("source", ["", "v3"])
    def test_the_mean_error_is_within_the_aim(self, board: str, percent: float, source: str) -> None:
        found = self.errors(board, source)
        assert sum(abs(one) for one in found) / len(found) < percent

    def test_the_networks_have_the_work_that_their_sources_state(self) -> None:
        stated = {"resnet50_slim": 6.97, "resnet152_slim": 21.83, "resnet50_v1.5": 8.2, "vgg16": 30.96}
        stated |= {"mobilenet_v1_1.0_224": 1.14, "mobilenet_v2_1.4_224": 1.16, "resnet18": 3.63}
        for name, billions in stated.items():
            assert 2 * sum(op.macs for op in NETWORKS[name]()) / 1e9 == pytest.approx(billions, rel=0.005)

    def test_one_core_alone_is_faster_than_one_of_three(self) -> None:
        busy = ZCU102.model_copy(update={"busy_cores": 3})
        ops = NETWORKS["mobilenet_v2_1.0_224"]()
        assert dpu.latency_ms(ops, ZCU102) < dpu.latency_ms(ops, busy)

    def test_a_smaller_dpu_is_slower(self) -> None:
        ops = NETWORKS["mobilenet_v2_1.0_224"]()
        times = [dpu.latency_ms(ops, kv260(name)) for name in ("B4096", "B1600", "B512")]
        assert times == sorted(times)

    def test_boards_and_sizes_are_known(self) -> None:
        assert (ZCU102.clock_mhz, ZCU102.cores, ZCU102.size) == (281, 3, "B4096")
        assert dpu.get_dpu("ultra96").size == "B1600"
        with pytest.raises(InputError, match="did you mean 'zcu102'"):
            dpu.get_dpu("zcu-102")


class TestRefusal:
    CONV = Layer("conv", 32, 64, 28, kernel=3, weight_bits=8, activation_bits=8)

    def test_what_fits_is_not_refused(self) -> None:
        block = Layer("mbconv", 24, 40, 28, 5, 2, 144, True, "h_swish", weight_bits=8, activation_bits=8)
        pool = Layer("pool", 160, 160, 7, kernel=7, norm=False)
        assert [ZCU102.refusal(layer) for layer in (self.CONV, block, pool)] == [None] * 3
        assert [ZCU102.refusal(layer) for layer in residual_chain(224, 8)] == [None] * 10

    @pytest.mark.parametrize(
        ("layer", "reason"),
        [
            (replace(CONV, weight_bits=32, activation_bits=32), "w8a8 bits only"),
            (replace(CONV, weight_bits=4), "w8a8 bits only"),
            (replace(CONV, kernel=17), "kernels up to 16"),
            (replace(CONV, stride=9), "strides up to 8"),
            (replace(CONV, out_channels=4097), "at most 4096 channels"),
            (replace(CONV, in_channels=4096, kernel=5), "at most 2048, but got 6400"),
            (Layer("pool", 16, 16, 300, kernel=300, norm=False), "pools of at most 256 px"),
            (Layer("max_pool", 16, 16, 300, kernel=257), "pools of at most 256 px"),
        ],
    )
    def test_what_exceeds_the_core_is_refused(self, layer: Layer, reason: str) -> None:
        assert reason in str(ZCU102.refusal(layer))


def test_energy_is_power_times_time_where_power_is_known() -> None:
    layer = TestRefusal.CONV
    price = KV260.total(layer)
    assert price.energy_mj == pytest.approx(10.13 * price.latency_ms)
    assert KV260.model_copy(update={"busy_power_w": None}).total(layer).energy_mj is None
