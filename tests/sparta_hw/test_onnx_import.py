from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from sparta_hw.errors import InputFileError, UnsupportedError
from sparta_hw.interpreter import run
from sparta_hw.ir import (
    CentreSurround,
    DynamicK,
    FeedbackController,
    FuseScores,
    GatherTokens,
    Graph,
    Operation,
    PatchGroup,
    Projection,
    SparseAttention,
    SpikeCues,
    SpikingConv,
    TokenGate,
    TokenPool,
    TokenPriority,
    TokenScore,
    TopKTokens,
)
from sparta_hw.onnx_import import import_model
from sparta_hw.verifier import verify
from sparta_hw.witness import runtime_integers

OF_RANKS = {"winners", "index", "selected", "query", "key", "value", "attention", "hidden"}


@pytest.fixture
def full(full_model: ModelProto, load: Callable[[ModelProto], Graph]) -> Graph:
    return load(full_model)


def only(graph: Graph, kind: type[Operation]) -> Operation:
    (found,) = (op for op in graph.operations if isinstance(op, kind))
    return found


def test_reads_every_number_of_the_plain_network(
    graph: Graph, model: ModelProto, edit: SimpleNamespace
) -> None:
    verify(graph)
    assert (graph.name, graph.default_k, graph.tokens, graph.input.shape) == ("small", 4, 9, (5, 2, 6, 6))
    first, second, cues, score, fuse, ranks, gate, gather, *projections = graph.operations
    *projections, attention, pool, classifier = projections
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
    assert (first.output.shape, first.feedback, first.direct) == ((5, 3, 3, 3), None, False)
    assert isinstance(cues, SpikeCues)
    assert [str(cue) for cue in cues.outputs[:2]] == [
        "first.0: integers 9 u6.3",
        "interval.0: integers 9 u6.3",
    ]
    assert isinstance(score, TokenScore)
    assert [value.name for value in score.outputs] == [
        "msp", "temporal", "first.0.part", "interval.0.part", "rate.0.part"
    ]  # fmt: skip
    assert [str(value.type) for value in score.outputs] == ["s12.4", "s12.4", "u11.3", "u11.3", "u11.3"]
    (scale,) = score.scales
    assert (scale.cues, scale.cells) == (cues.outputs, None)
    np.testing.assert_array_equal(scale.msp_tables, edit.array(model, "msp_tables.0") * 16)
    np.testing.assert_array_equal(scale.temporal_tables, edit.array(model, "temporal_tables.0") * 16)
    assert isinstance(fuse, FuseScores)
    assert (fuse.mlp, fuse.spatial, fuse.group, fuse.output.name) == (None, None, None, "score")
    assert isinstance(ranks, TopKTokens)
    assert isinstance(gate, TokenGate)
    assert (gate.alpha, gate.beta, gate.shift, gate.timing) == (80, 32, 2, None)
    assert (str(gate.output), str(gate.gain)) == ("tokens: integers 9x6 u8.4", "gain: integers 9 u8.6")
    assert isinstance(gather, GatherTokens)
    for op, frac in zip(projections, (4, 3, 5), strict=True):
        assert isinstance(op, Projection)
        np.testing.assert_array_equal(op.weight, edit.array(model, f"{op.node}.weight.int").T)
        np.testing.assert_array_equal(op.bias, edit.array(model, f"{op.node}.bias.int"))
        assert (op.inputs, op.shift, op.output.type.frac) == ((gather.output,), 4 + 7 - frac, frac)
    assert isinstance(attention, SparseAttention)
    assert (attention.shift, attention.heads, attention.temperature) == (4 + 3 - 4, 1, None)
    assert isinstance(pool, TokenPool)
    assert (pool.token_shift, pool.attention_shift, pool.shift) == (1, 0, 4)
    assert isinstance(classifier, Projection)
    assert (classifier.logits, classifier.shift, classifier.output.shape) == (True, 0, (3,))


def test_reads_every_part_of_the_full_network(
    full: Graph, full_model: ModelProto, edit: SimpleNamespace
) -> None:
    verify(full)
    assert (full.default_k, full.tokens, full.grid_tokens, full.ranks) == (0, 10, 16, 10)
    assert str(full.input) == "pixels: integers 2x8x8 u8.0"
    convs = [op for op in full.operations if isinstance(op, SpikingConv)]
    assert [op.direct for op in convs] == [True, False, False, False, False]
    assert [(op.weight.shape[-1], op.stride, op.pad) for op in convs[2:]] == [(1, 1, 0), (3, 1, 1), (2, 2, 0)]
    assert all(op.feedback and (op.feedback.gain, op.feedback.limit) == (64, 9) for op in convs)
    score = only(full, TokenScore)
    assert isinstance(score, TokenScore)
    assert [value.name for value in score.outputs][2:] == ["first.2.sum", "interval.2.sum", "rate.2.sum"]
    assert [scale.cells is None for scale in score.scales] == [True, True, False]
    np.testing.assert_array_equal(score.scales[2].cells, [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3])
    group = only(full, PatchGroup).output
    assert str(group) == "group: index 10 u4.0"
    spatial = only(full, CentreSurround)
    assert isinstance(spatial, CentreSurround)
    assert (spatial.height, spatial.width, spatial.inhibition, spatial.group) == (4, 4, 40, group)
    fuse = only(full, FuseScores)
    assert isinstance(fuse, FuseScores)
    assert (fuse.spatial, fuse.msp, fuse.temporal) == (spatial.output, *score.outputs[:2])
    chosen = only(full, DynamicK)
    assert isinstance(chosen, DynamicK)
    assert (chosen.first, chosen.interval, chosen.rate) == score.outputs[2:]
    np.testing.assert_array_equal(chosen.table, edit.array(full_model, "k_table"))
    priority = only(full, TokenPriority)
    gate = only(full, TokenGate)
    assert isinstance(priority, TokenPriority)
    assert isinstance(gate, TokenGate)
    assert (priority.rate, priority.gain) == (score.outputs[4], gate.gain)
    np.testing.assert_array_equal(gate.timing, edit.array(full_model, "timing") * 64)
    assert [source.spikes.name for source in gate.sources] == ["fine", "local", "context"]
    assert str(gate.output) == "tokens: integers 10x24 s8.4"
    for name, op in (("fusion", fuse), ("sparsity", chosen), ("priority", priority)):
        assert op.mlp is not None
        np.testing.assert_array_equal(op.mlp.hidden_weight, edit.array(full_model, f"{name}.hidden_weight"))
        np.testing.assert_array_equal(op.mlp.hidden_bias, edit.array(full_model, f"{name}.hidden_bias"))
        np.testing.assert_array_equal(op.mlp.weight, edit.array(full_model, f"{name}.weight"))
        assert op.mlp.bias == edit.array(full_model, f"{name}.bias")[0]
        assert (op.mlp.hidden_shift, op.mlp.shift) == ((5 if name == "fusion" else 2), 8)
    hidden = next(op for op in full.operations if op.output.name == "hidden.0")
    assert isinstance(hidden, Projection)
    assert [value.name for value in hidden.inputs] == ["selected", "attention.0"]
    np.testing.assert_array_equal(hidden.weight, edit.array(full_model, "hidden.0.weight.int").T)
    attention = [op for op in full.operations if isinstance(op, SparseAttention)]
    assert [(op.heads, op.index.name, op.group) for op in attention] == [(2, "index", group)] * 2
    np.testing.assert_array_equal(attention[1].temperature, edit.array(full_model, "temperature") * 64)
    law = only(full, FeedbackController)
    assert isinstance(law, FeedbackController)
    assert (law.activity_shift, law.rate_shift, law.target, str(law.output.type)) == (3, 2, 900, "s26.8")
    assert [value.name for value in law.attention] == ["attention.0", "attention.1"]


@pytest.mark.parametrize("k", [None, 1, 3, 9])
@pytest.mark.parametrize("name", ["small", "full"])
def test_means_what_the_file_computes(
    name: str,
    k: int | None,
    make_model: Callable[..., ModelProto],
    load: Callable[[ModelProto], Graph],
    tmp_path: Path,
    spikes: np.ndarray,
    pixels: np.ndarray,
) -> None:
    graph = load(make_model(5, full=name == "full"))
    inputs, state = (
        (spikes, None) if name == "small" else (pixels, np.array([0, 9000, -9000, 1 << 20, 5, -6]))
    )
    values = [value for op in graph.operations for value in getattr(op, "outputs", (op.output,))]
    fracs = {value.name: 0 if value.name == "next_state" else value.type.frac for value in values}
    witness = runtime_integers(tmp_path / "small.onnx", inputs, fracs, k, state)
    ours = run(graph, inputs, k, state)
    for tensor in fracs:
        below = np.ones(ours[tensor].shape, bool)
        if tensor.split(".")[0] in OF_RANKS:
            below[:] = (np.arange(below.shape[1]) < ours["k"][:, None]).reshape(
                *below.shape[:2], *[1] * (below.ndim - 2)
            )
        np.testing.assert_array_equal(ours[tensor] * below, witness[tensor] * below, err_msg=tensor)


def test_operands_of_add_may_be_swapped(
    full_model: ModelProto, edit: SimpleNamespace, load: Callable[[ModelProto], Graph]
) -> None:
    for name in ("query.0.add", "pool"):
        node = edit.node(full_model, name)
        node.input[:] = reversed(node.input)
    query = next(op for op in load(full_model).operations if op.output.name == "query.0")
    assert isinstance(query, Projection)
    assert query.bias.any()


def test_bias_may_be_absent(model: ModelProto, edit: SimpleNamespace, load: Callable) -> None:
    for name in ("query.0.add", "query.0.bias.dequantize"):
        model.graph.node.remove(edit.node(model, name))
    edit.node(model, "query.0.quant").input[0] = "query.0.dot"
    del edit.node(model, "stem.0.conv").input[2]
    model.graph.node.remove(edit.node(model, "stem.0.bias.dequantize"))
    operations = load(model).operations
    query = next(op for op in operations if op.output.name == "query.0")
    assert not query.bias.any()
    assert not operations[0].bias.any()


def test_spatial_score_may_be_absent(
    full_model: ModelProto, edit: SimpleNamespace, load: Callable[[ModelProto], Graph]
) -> None:
    node = edit.node(full_model, "spatial")
    full_model.graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "nothing"))
    node.CopyFrom(helper.make_node("Mul", ["msp.grouped", "nothing"], ["spatial"], name="spatial"))
    fuse = only(load(full_model), FuseScores)
    assert isinstance(fuse, FuseScores)
    assert (fuse.spatial, fuse.msp.name, fuse.temporal.name) == (None, "msp", "temporal")


def test_unread_fields_of_the_record_keep_their_names(
    full_model: ModelProto, edit: SimpleNamespace, load: Callable[[ModelProto], Graph]
) -> None:
    full_model.graph.node.remove(edit.node(full_model, "dynamic_k"))
    edit.set_array(full_model, "k", np.array([3]))
    for node in full_model.graph.node:
        node.input[:] = ["k" if name == "chosen_k" else name for name in node.input]
    for name in ("ranking", "priority", "gated"):
        full_model.graph.node.remove(edit.node(full_model, name))
    for node in full_model.graph.node:
        node.input[:] = ["winners" if name == "index" else name for name in node.input]
    graph = load(full_model)
    score = only(graph, TokenScore)
    assert isinstance(score, TokenScore)
    assert [value.name for value in score.outputs[2:]] == ["first.2.sum", "interval.2.sum", "rate.2.sum"]
    assert (graph.dynamic, graph.default_k, graph.ranks) == (False, 3, 3)
    verify(graph)


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
    assert len(load(model).operations) == 14
