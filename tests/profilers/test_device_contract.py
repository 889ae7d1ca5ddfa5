"""What every device promises; those that are not usable here are skipped with their own reason."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.profilers import Device, Measurement, Protocol, device_names, get_device
from hwnas.spaces import Candidates, Network, get_space, random_network

SPACE = get_space("demo")
FAST = Protocol(samples_least=10, samples_most=20, warmup_ms=10.0)


FILE = "mine.yaml"
# A network takes torch.compile ten seconds on two cores.
SLOW = {"cpu-torch-compiled"}


def known() -> list[object]:
    """Every name, and a file."""
    names = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in device_names()]
    return [*names, FILE]


@pytest.fixture(scope="module", params=known())
def given(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a user would type for the device."""
    if request.param != FILE:
        return str(request.param)
    path = tmp_path_factory.mktemp("devices") / FILE
    path.write_text("name: mine\nruntime: onnxruntime\nbits: 8\n")
    return str(path)


@pytest.fixture(scope="module")
def device(given: str, compiled_home: Path) -> Iterator[Device]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWNAS_HOME", str(compiled_home))
        found = get_device(given, SPACE)
        reason = found.unavailable()
        if reason:
            pytest.skip(f"{given}: {reason}")
        found.prepare()
        yield found


@pytest.fixture(scope="module")
def networks(device: Device) -> list[Network]:
    """The smallest and the largest network, at each of the device's bitwidths."""
    return [network(bits, which) for bits in device.bits for which in ("smallest", "largest")]


@pytest.fixture(scope="module")
def measurements(device: Device, networks: list[Network]) -> list[Measurement]:
    return device.measure(networks, FAST)


def network(bits: int, which: str = "smallest") -> Network:
    return random_network(Candidates.of_architectures(SPACE, [getattr(SPACE, which)()], bits).layers(0))


def test_it_says_what_it_is(device: Device, given: str) -> None:
    assert device.name == ("mine" if device.definition else given)
    assert device.runtime
    assert device.kind in ("measured", "simulated")
    assert device.bits
    assert (device.threads, device.batch) == (1, 1)


def test_its_fingerprint_is_the_same_each_time_and_names_it(device: Device, given: str) -> None:
    again = get_device(given, SPACE)
    assert device.fingerprint().digest == again.fingerprint().digest
    assert device.fingerprint().facts["device"] == device.name
    json.dumps(dict(device.fingerprint().facts))


def test_it_takes_its_own_bits_and_refuses_others_before_it_builds(device: Device, tmp_path: Path) -> None:
    for bits in device.bits:
        assert [device.refusal(layer) for layer in network(bits).layers] == [None] * len(network(bits).layers)
    other = next(bits for bits in (32, 16, 8, 3) if bits not in device.bits)
    if other == 16:  # nothing can be written for it, so only the layer is asked about
        layer = replace(network(32).layers[0], weight_bits=16, activation_bits=16)
        assert device.refusal(layer)
        return
    with pytest.raises(InputError, match=f"device '{device.name}' cannot run layer"):
        device.build(network(other), tmp_path)
    assert not list(tmp_path.iterdir())


def test_it_builds_one_artefact_into_the_folder(
    device: Device, networks: list[Network], tmp_path: Path
) -> None:
    artefact = device.build(networks[0], tmp_path)
    assert artefact.parent == tmp_path
    assert artefact.stat().st_size > 0


def test_each_network_gets_its_measurement_in_order(
    device: Device, networks: list[Network], measurements: list[Measurement]
) -> None:
    assert [one.subject for one in measurements] == [one.key for one in networks]
    for one in measurements:
        assert one.device == device.name
        assert one.kind == device.kind
        assert one.fingerprint == device.fingerprint().digest
        assert 0 < one.ci_low_ms <= one.latency_ms <= one.ci_high_ms
        assert one.p95_ms >= one.latency_ms
        assert len(one.samples_ms) >= 1
        assert (one.energy_mj is None) == (one.energy_source is None)


def test_measurements_survive_being_written(measurements: list[Measurement]) -> None:
    for one in measurements:
        assert Measurement.of_json(json.loads(json.dumps(one.to_json()))) == one


def test_the_largest_network_takes_longer_than_the_smallest(measurements: list[Measurement]) -> None:
    for smallest, largest in zip(measurements[::2], measurements[1::2], strict=True):
        assert largest.latency_ms > smallest.latency_ms


def test_what_was_built_can_be_measured_again(
    device: Device, networks: list[Network], tmp_path: Path
) -> None:
    artefact = device.build(networks[0], tmp_path)
    (found,) = device.measure_artefacts({networks[0].key: artefact}, FAST)
    assert found.subject == networks[0].key
    assert found.latency_ms > 0


def test_nothing_to_measure_is_no_work(device: Device) -> None:
    assert device.measure([], FAST) == []
    assert device.measure_artefacts({}, FAST) == []
