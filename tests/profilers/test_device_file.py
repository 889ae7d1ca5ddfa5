import os
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.profilers import Device, device_names, get_device
from hwnas.profilers.device_file import device_file
from hwnas.profilers.ort.device import OnnxRuntimeDevice
from hwnas.profilers.registry import device_of_definition, yaml_of_device
from hwnas.profilers.torch.device import TorchDevice
from hwnas.profilers.tvm.device import TvmDevice
from hwnas.spaces import get_space, random_network

CORE = max(os.sched_getaffinity(0))

RUNTIMES = "tvm, onnxruntime, torch, table, dpu, bitfusion or bit-serial"


@pytest.fixture
def opened(tmp_path: Path):  # type: ignore[no-untyped-def]
    def open_text(text: str) -> Device:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return get_device(str(path), get_space("demo"))

    return open_text


def says(opened, text: str) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError) as error:
        opened(text)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", sorted(device_names()))
def test_the_yaml_of_a_device_gives_the_device_back(opened, name: str) -> None:  # type: ignore[no-untyped-def]
    found = opened(yaml_of_device(name))
    assert found.name == name
    assert found.definition is None
    if found.unavailable() is None:
        assert found.fingerprint().digest == get_device(name).fingerprint().digest


def test_every_field_of_onnx_runtime_is_taken(opened) -> None:  # type: ignore[no-untyped-def]
    found = opened(f"name: mine\nruntime: onnxruntime\nthreads: 1\ncores: [{CORE}]\nbatch: 4\nbits: 8\n")
    assert isinstance(found, OnnxRuntimeDevice)
    assert (found.name, found.threads, found.batch, found.bits) == ("mine", 1, 4, (8,))
    assert found.place.cores == (CORE,)
    facts = found.fingerprint().facts
    assert (facts["device"], facts["batch"], facts["cores"]) == ("mine", 4, str(CORE))


def test_fields_of_tvm_are_taken(opened) -> None:  # type: ignore[no-untyped-def]
    found = opened(f"name: mine\nruntime: tvm\nthreads: 1\ncores: [{CORE}]\nbits: 32\n")
    assert isinstance(found, TvmDevice)
    if found.unavailable() is None:
        assert found.fingerprint().facts["cores"] == str(CORE)
    assert (found.name, found.threads, found.bits) == ("mine", 1, (32,))
    with pytest.raises(InputError, match="device 'mine' runs 32 bits here, but its file asks for 32, 8"):
        opened("name: mine\nruntime: tvm\nrpc: {host: localhost, key: pi}\nbits: [32, 8]\n")


def test_every_field_of_torch_is_taken(opened) -> None:  # type: ignore[no-untyped-def]
    found = opened("name: mine\nruntime: torch\ncompile: true\nbatch: 2\n")
    assert isinstance(found, TorchDevice)
    assert (found.compiled, found.batch, found.bits) == (True, 2, (32,))


def test_what_changes_what_runs_changes_the_fingerprint(opened) -> None:  # type: ignore[no-untyped-def]
    texts = ["", "batch: 2\n", f"cores: [{CORE}]\n"]
    digests = {opened(f"name: mine\nruntime: onnxruntime\n{text}").fingerprint().digest for text in texts}
    assert len(digests) == len(texts)


def test_the_definition_makes_the_device_again(opened) -> None:  # type: ignore[no-untyped-def]
    found = opened("name: mine\nruntime: onnxruntime\nbatch: 2\nenergy: {meter: hwmon, rails: [som]}\n")
    assert found.definition == {
        "name": "mine",
        "runtime": "onnxruntime",
        "batch": 2,
        "energy": {"meter": "hwmon", "rails": ["som"]} | found.definition["energy"],
    }
    again = device_of_definition(found.definition)
    assert again.fingerprint() == found.fingerprint()
    assert again.energy == found.energy
    assert again.energy
    assert again.energy.meter == "hwmon"


def test_the_yaml_of_a_file_says_the_same(opened, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    text = f"""name: mine
runtime: tvm
schedules: "a: b.json.xz"
target: {{kind: llvm, mcpu: x86-64-v3}}
threads: 1
cores: [{CORE}]
energy: {{meter: hwmon, rails: ["*/vdd", som], boundary: "", window_s: 2.5}}
"""
    before = opened(text).definition
    (tmp_path / "again.yaml").write_text(yaml_of_device(str(tmp_path / "mine.yaml")))
    assert get_device(str(tmp_path / "again.yaml")).definition == before
    assert before["schedules"] == str(tmp_path / "a: b.json.xz")


def test_a_table_beside_the_file_is_found_from_anywhere(opened, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from hwnas.profilers.simulated import SimulatedDevice
    from hwnas.profilers.tables.file import write_table

    space = get_space("demo")
    dpu = get_device("fpga-zcu102-dpu")
    assert isinstance(dpu, SimulatedDevice)
    write_table(tmp_path / "blocks.csv", dpu.table(space))
    found = opened("name: my-board\nruntime: table\ntable: blocks.csv\n")
    assert found.name == "my-board"
    assert found.definition["table"] == str(tmp_path / "blocks.csv")
    layers = space.layers(space.smallest())
    assert found.refusal(random_network(layers).layers[0])  # 32 bits, and the DPU has 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; `hwnas devices cpu-ort --yaml` prints one to start from"),
        (
            "- 1",
            f"line 1: must be a mapping with name and runtime ({RUNTIMES})",
        ),
        (
            "name: mine",
            f"line 1: must have runtime too: {RUNTIMES}",
        ),
        (
            "name: mine\nruntime: ort",
            f"line 2: runtime must be {RUNTIMES}, but got 'ort'",
        ),
        ("runtime: torch", "line 1: must have name too"),
        ("name: My Device\nruntime: torch", "line 1: name must be up to 64 of a-z"),
        ("name: cpu-ort\nruntime: torch", "line 1: name 'cpu-ort' is the name of another device already"),
        (
            "name: mine\nruntime: torch\nthread: 2",
            "line 3: thread is no field: did you mean 'threads'? there are",
        ),
        (
            "name: mine\nruntime: torch\nthreads: two",
            "line 3: threads must be a valid integer, but got 'two'",
        ),
        (
            "name: mine\nruntime: torch\nthreads: 0",
            "line 3: threads must be greater than or equal to 1, but got 0",
        ),
        ("name: mine\nruntime: torch\nthreads: 1000", "line 3: threads must be at most"),
        ("name: mine\nruntime: torch\ncores: [900]", "line 3: cores must be some of"),
        (
            f"name: mine\nruntime: torch\ncores: [{CORE}, {CORE}]",
            "line 3: cores must be as many different ones as",
        ),
        ("name: mine\nruntime: torch\ncompile: 1", "line 3: compile must be a valid boolean, but got 1"),
        ("name: mine\nruntime: torch\nbits: 8", "line 3: bits is no field"),
        ("name: mine\nruntime: torch\nenergy: rapl", "line 3: energy must be a mapping of the fields meter"),
        (
            "name: mine\nruntime: torch\nenergy:\n  metre: rapl",
            "line 4: energy.metre is no field: did you mean 'meter'",
        ),
        ("name: mine\nruntime: torch\nenergy: {repeats: 1}", "line 3: energy repeats must be at least 2"),
        ("name: mine\nruntime: onnxruntime\nbits: 4", "line 3: bits must be 32, 8 or [32, 8], but got 4"),
        (
            "name: mine\nruntime: onnxruntime\nprovider: rocm",
            "line 3: provider must be 'cpu' or 'cuda', but got 'rocm'",
        ),
        ("name: mine\nruntime: onnxruntime\nprovider: cuda\nbits: 8", "line 4: bits must be 32 on cuda"),
        (
            "name: mine\nruntime: tvm\nrpc: {host: h, key: k}\ncores: [0]",
            "line 4: cores must be left out with rpc",
        ),
        (
            "name: mine\nruntime: tvm\nrpc: {host: h, port: 0, key: k}",
            "line 3: rpc.port must be greater than or equal",
        ),
        ("name: mine\nruntime: tvm\nrpc: {host: h}", "line 3: rpc must have key too"),
        (
            "name: mine\nruntime: tvm\ntarget: {triple: aarch64-linux-gnu}",
            "line 3: target.triple must be left out",
        ),
        ("name: mine\nruntime: table", "line 1: must have table too"),
        ("name: mine\nruntime: table\ntable: gone.csv", "gone.csv"),
        ("name: mine\nruntime: dpu\nboard: zcu103", "zcu103"),
        ("name: !!python/object:os.system x\nruntime: torch", "line 1: tags such as"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(opened, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    assert message in says(opened, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read device file .*gone\.yaml: No such file"):
        get_device(str(tmp_path / "gone.yaml"))


def test_devices_without_a_file_form_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown device 'cpu-otr': did you mean 'cpu-ort'"):
        yaml_of_device("cpu-otr")


def test_remote_machines_may_have_more_threads_than_this_one() -> None:
    file = device_file(
        {"name": "pi", "runtime": "tvm", "threads": 64, "rpc": {"host": "h", "key": "pi4"}}, "here"
    )
    assert file.name == "pi"


def test_constants_of_the_energy_model_are_looked_for_beside_the_file(opened, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    found = opened("name: mine\nruntime: onnxruntime\nenergy: {constants: prices.yaml}\n")
    assert found.energy.constants == str(tmp_path / "prices.yaml")
