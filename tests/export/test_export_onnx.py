from pathlib import Path

import numpy as np
import onnx
import pytest

from hwnas.errors import InputError
from hwnas.export import onnx as export_onnx_module
from hwnas.export.onnx import export_onnx, read_onnx
from hwnas.spaces import Candidates, get_space, random_network

SPACE = get_space("demo")
NETWORK = random_network(Candidates.of_architectures(SPACE, [SPACE.smallest()], 8).layers(0))


def test_a_file_keeps_its_metadata_under_the_prefix(tmp_path: Path) -> None:
    path = export_onnx(NETWORK, tmp_path / "deep" / "model.onnx", {"a": "1", "hwnas.b": "ä"})
    assert {one.key: one.value for one in onnx.load(path).metadata_props} == {"hwnas.a": "1", "hwnas.b": "ä"}
    assert read_onnx(path).metadata == {"a": "1", "b": "ä"}


def test_the_graph_is_the_one_that_devices_measure(tmp_path: Path) -> None:
    from hwnas.profilers.ort.device import OnnxRuntimeDevice

    measured = onnx.load(OnnxRuntimeDevice().build(NETWORK, tmp_path))
    assert read_onnx(export_onnx(NETWORK, tmp_path / "out.onnx", {"a": "1"})).model.graph == measured.graph


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not an ONNX file"),
        (b"PK\x03\x04 a zip", "not an ONNX file"),
        (b"\x80\x04\x95pickle", "not an ONNX file"),
    ],
)
def test_what_is_not_onnx_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        read_onnx(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_torn_file_is_refused(tmp_path: Path, share: float) -> None:
    path = export_onnx(NETWORK, tmp_path / "model.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"model\.onnx"):
        read_onnx(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(InputError, match="cannot read the model"):
            read_onnx(path)


def test_a_file_too_large_to_be_ours_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = export_onnx(NETWORK, tmp_path / "model.onnx")
    monkeypatch.setattr(export_onnx_module, "MAX_FILE_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1000 bytes"):
        read_onnx(path)


@pytest.mark.parametrize("place", ["/etc/passwd", "../secret", "beside.bin"])
def test_weights_in_other_files_are_refused(tmp_path: Path, place: str) -> None:
    path = export_onnx(NETWORK, tmp_path / "model.onnx")
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    onnx.external_data_helper.set_external_data(_with_data(tensor), place)
    tensor.ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="must hold all its weights itself"):
        read_onnx(path)


def test_weights_of_other_files_are_found_inside_attributes_too(tmp_path: Path) -> None:
    path = export_onnx(NETWORK, tmp_path / "model.onnx")
    model = onnx.load(path)
    hidden = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "hidden")
    onnx.external_data_helper.set_external_data(hidden, "/etc/passwd")
    hidden.ClearField("raw_data")
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["unused"], value=hidden))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="'hidden' in another file"):
        read_onnx(path)


def test_an_invalid_graph_is_refused(tmp_path: Path) -> None:
    path = export_onnx(NETWORK, tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.node[1].input[0] = "nothing"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="not a valid ONNX model"):
        read_onnx(path)


def test_metadata_twice_is_refused(tmp_path: Path) -> None:
    path = export_onnx(NETWORK, tmp_path / "model.onnx", {"a": "1"})
    model = onnx.load(path)
    model.metadata_props.append(model.metadata_props[0])
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"valid ONNX|twice"):
        read_onnx(path)


def _with_data(tensor: onnx.TensorProto) -> onnx.TensorProto:
    tensor.raw_data = b"\0" * 4
    return tensor
