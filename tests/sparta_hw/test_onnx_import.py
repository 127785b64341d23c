from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import ModelProto

from sparta_hw.errors import InputFileError, UnsupportedError
from sparta_hw.ir import Graph, Projection, SparseAttention, SpikingConv, TokenGate, TokenPool, TokenScore
from sparta_hw.onnx_import import import_model
from sparta_hw.verifier import verify


def test_reads_every_number(graph: Graph, model: ModelProto, edit: SimpleNamespace) -> None:
    verify(graph)
    assert (graph.name, graph.default_k, graph.tokens, graph.input.shape) == ("small", 4, 9, (5, 2, 6, 6))
    first, second, _, score, _, gate, *projections, attention, pool, classifier = graph.operations
    assert isinstance(first, SpikingConv)
    assert isinstance(second, SpikingConv)
    assert (first.node, first.stride, first.pad, first.shift, str(first.membrane)) == (
        "stem.0.conv", 2, 1, 1, "s16.8"
    )  # fmt: skip
    np.testing.assert_array_equal(first.weight, edit.array(model, "stem.0.weight.int"))
    np.testing.assert_array_equal(first.bias, edit.array(model, "stem.0.bias.int"))
    np.testing.assert_array_equal(first.leak, edit.array(model, "stem.0.tau_inv") * 256)
    np.testing.assert_array_equal(first.threshold, edit.array(model, "stem.0.v_th") * 256)
    assert (first.soft_reset, first.v_reset, second.soft_reset, second.v_reset) == (False, -4, True, 0)
    assert first.output.shape == (5, 3, 3, 3)
    assert isinstance(score, TokenScore)
    np.testing.assert_array_equal(score.tables[2], edit.array(model, "table_burst") * 16)
    assert isinstance(gate, TokenGate)
    assert (gate.alpha, gate.beta, gate.shift, str(gate.output.type)) == (80, 32, 2, "u8.4")
    for op, frac in zip(projections, (4, 3, 5), strict=True):
        assert isinstance(op, Projection)
        np.testing.assert_array_equal(op.weight, edit.array(model, f"{op.node}.weight.int").T)
        np.testing.assert_array_equal(op.bias, edit.array(model, f"{op.node}.bias.int"))
        assert (op.shift, op.output.type.frac, op.output.shape) == (4 + 7 - frac, frac, (4, 6))
    assert isinstance(attention, SparseAttention)
    assert attention.shift == 4 + 3 - 4
    assert isinstance(pool, TokenPool)
    assert (pool.token_shift, pool.attention_shift, pool.shift) == (1, 0, 4)
    assert isinstance(classifier, Projection)
    assert (classifier.index, classifier.shift, classifier.output.shape) == (None, 0, (3,))


def test_operands_of_add_may_be_swapped(model: ModelProto, edit: SimpleNamespace, load: Callable) -> None:
    for name in ("query.add", "pool"):
        node = edit.node(model, name)
        node.input[:] = reversed(node.input)
    assert load(model).operations[6].bias.any()


def test_bias_may_be_absent(model: ModelProto, edit: SimpleNamespace, load: Callable) -> None:
    for name in ("query.add", "query.bias.dequantize"):
        model.graph.node.remove(edit.node(model, name))
    edit.node(model, "query.quant").input[0] = "query.dot"
    del edit.node(model, "stem.0.conv").input[2]
    model.graph.node.remove(edit.node(model, "stem.0.bias.dequantize"))
    operations = load(model).operations
    assert not operations[6].bias.any()
    assert not operations[0].bias.any()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match=r"absent\.onnx: no such file \(expected an ONNX model\)"):
        import_model(tmp_path / "absent.onnx")


def test_folder_instead_of_file(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="cannot read an ONNX model: Is a directory"):
        import_model(tmp_path)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_truncated_file(model: ModelProto, tmp_path: Path, part: float) -> None:
    model.ClearField("functions")
    content = model.SerializeToString()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(InputFileError, match=r"cut\.onnx: truncated, or not an ONNX model"):
        import_model(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04 a zip file", b"\x89PNG\r\n", b"text, not protobuf\n" * 9])
def test_other_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=r"other\.onnx: truncated, or not an ONNX model"):
        import_model(path)


def test_initializer_with_missing_bytes(model: ModelProto, edit: SimpleNamespace, load: Callable) -> None:
    entry = next(entry for entry in model.graph.initializer if entry.name == "stem.0.weight.int")
    entry.raw_data = entry.raw_data[:-1]
    with pytest.raises(InputFileError, match=r"initializer 'stem\.0\.weight\.int' cannot be read"):
        load(model)


def test_external_data(model: ModelProto, tmp_path: Path) -> None:
    path = tmp_path / "split.onnx"
    onnx.save(model, path, save_as_external_data=True, location="split.data", size_threshold=0)
    assert import_model(path).default_k == 4
    (tmp_path / "split.data").unlink()
    with pytest.raises(InputFileError, match=r"split\.onnx: its external data cannot be read: .*split\.data"):
        import_model(path)


@pytest.mark.parametrize(
    ("domain", "version", "message"),
    [
        ("sparta", 2, "version 2 of domain 'sparta', this importer knows version 1"),
        ("qonnx.custom_op.general", 3, r"version 3 of domain 'qonnx\.custom_op\.general'"),
        ("", 11, "ONNX opset 11, this importer reads 13 to"),
        ("", 999, "ONNX opset 999, this importer reads 13 to"),
    ],
)
def test_unknown_versions(model: ModelProto, load: Callable, domain: str, version: int, message: str) -> None:
    next(entry for entry in model.opset_import if entry.domain == domain).version = version
    with pytest.raises(UnsupportedError, match=message):
        load(model)


def test_bodies_are_not_executed(model: ModelProto, load: Callable) -> None:
    model.ClearField("functions")
    assert len(load(model).operations) == 11 + 1
