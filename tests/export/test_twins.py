"""What the bits of a model gain on its device, and what is said where that is nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.export.twins import build_twins, twin_figure, twin_name, twin_remark
from hwnas.profilers import Device, Measurement, Protocol, get_device
from hwnas.search.front import Member
from hwnas.spaces import Candidates, get_space, random_network

SPACE = get_space("demo")


def member(bits: int, device: str = "cpu-ort") -> Member:
    candidate = Candidates.of_architectures(SPACE, [SPACE.smallest()], bits).unpack()[0]
    return Member(
        id=candidate.id,
        architecture=candidate.architecture.to_json(),
        bits=candidate.bits.to_json(),
        deploy_on=device,
        accuracy_top1={"value": 90.0},
        latency_ms={},
        size_bytes=1,
        macs=1,
        params=1,
        bitops=1,
        peak_memory_bytes=1,
    )


@pytest.fixture(scope="module")
def simulated() -> Measurement:
    device = get_device("fpga-kv260-dpu")
    network = random_network(Candidates.of_architectures(SPACE, [SPACE.smallest()], 8).layers(0))
    return device.measure([network], Protocol())[0]


def taken(one: Measurement, latency_ms: float, reach_ms: float = 0.01) -> Measurement:
    low, high = latency_ms - reach_ms, latency_ms + reach_ms
    return replace(one, latency_ms=latency_ms, ci_low_ms=low, ci_high_ms=high)


def test_a_model_is_faster_only_where_intervals_lie_apart(simulated: Measurement) -> None:
    one = member(8)
    for own_ms, faster in ((0.5, True), (0.985, False), (1.2, False)):
        both = {one.id: taken(simulated, own_ms), twin_name(one.id): taken(simulated, 1.0)}
        figure = twin_figure(one, both)
        assert figure == {"latency_ms": 1.0, "ratio": own_ms, "faster_than_twin": faster}
        remark = twin_remark(one, figure, own_ms)
        assert (remark is None) is faster
        if remark:
            assert f"{own_ms:.4g} against 1 ms; its bits save memory alone" in remark


def test_a_model_without_a_twin_has_no_figure(simulated: Measurement) -> None:
    one = member(32)
    assert twin_figure(one, {one.id: simulated}) is None


def test_twins_are_built_for_quantized_models_of_devices_that_run_floats(tmp_path: Path) -> None:
    network = random_network(Candidates.of_architectures(SPACE, [SPACE.smallest()]).layers(0))
    members = [member(8), member(32), member(8, "fpga-kv260-dpu")]
    devices: dict[str, Device] = {name: get_device(name) for name in ("cpu-ort", "fpga-kv260-dpu")}
    found = build_twins(
        members, lambda one: devices[one.deploy_on], lambda _: network, lambda _: False, tmp_path
    )
    assert list(found) == [members[0].id]
    assert found[members[0].id].is_file()
    again = build_twins(
        members[:1], lambda _: devices["cpu-ort"], lambda _: network, lambda _: True, place(tmp_path)
    )
    assert again[members[0].id].is_dir()


def place(folder: Path) -> Path:
    made = folder / "again"
    made.mkdir()
    return made
