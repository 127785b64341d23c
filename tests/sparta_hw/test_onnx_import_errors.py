from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from sparta_hw.errors import UnsupportedError

Change = Callable[[ModelProto, SimpleNamespace], None]


def attribute(node: str, name: str, value: object) -> Change:
    return lambda model, edit: edit.set_attribute(model, node, name, value)


def array(name: str, change: Callable[[np.ndarray], object]) -> Change:
    def apply(model: ModelProto, edit: SimpleNamespace) -> None:
        values = edit.array(model, name)
        edit.set_array(model, name, np.asarray(change(values), values.dtype))

    return apply


def element(name: str, value: float) -> Change:
    def change(values: np.ndarray) -> np.ndarray:
        values.reshape(-1)[0] = value
        return values

    return array(name, change)


def inputs(node: str, position: int, name: str) -> Change:
    def apply(model: ModelProto, edit: SimpleNamespace) -> None:
        edit.node(model, node).input[position] = name

    return apply


def insert(op: str, after: str, domain: str = "", **attributes: object) -> Change:
    """Another node between the tensor ``after`` and all that read it."""

    def apply(model: ModelProto, edit: SimpleNamespace) -> None:
        for node in model.graph.node:
            node.input[:] = [f"{after}.extra" if name == after else name for name in node.input]
        made = helper.make_node(
            op, [after], [f"{after}.extra"], name=f"extra.{op}", domain=domain, **attributes
        )
        at = next(n for n, node in enumerate(model.graph.node) if after in node.output)
        model.graph.node.insert(at + 1, made)

    return apply


CASES: dict[str, tuple[Change, str]] = {
    "weight off its grid": (
        inputs("stem.0.conv", 1, "stem.0.tau_inv"),
        r"stem\.0\.conv \(Conv\): input 1 \('stem\.0\.tau_inv'\) must be a weight: an int8 initializer",
    ),
    "weight wider than int8": (
        lambda model, edit: edit.set_array(
            model, "query.0.weight.int", edit.array(model, "query.0.weight.int").astype(np.int32) * 2
        ),
        r"query\.0 \(MatMul\): a weight is -?\d+, the hardware has -128 to 127; quantise weights to int8",
    ),
    "weight of another type": (
        lambda model, edit: edit.set_array(model, "query.0.weight.int", np.ones((6, 6), np.uint8)),
        r"query\.0\.weight\.dequantize \(DequantizeLinear\): integers are uint8; weights are int8, biases int32",
    ),
    "weight scale no power of two": (
        element("stem.0.weight.scale", 0.003),
        r"stem\.0\.weight\.dequantize .*the scale is 0\.00\d+, not a power of two; restrict the scale",
    ),
    "weight scale per channel": (
        lambda model, edit: edit.set_array(model, "stem.0.weight.scale", np.full(3, 0.5, np.float32)),
        r"the scale has 3 values, it must be one",
    ),
    "activation dequantised": (
        inputs("query.0.weight.dequantize", 0, "tokens"),
        r"query\.0\.weight\.dequantize .*: dequantises an activation; quantise activations with qonnx Quant",
    ),
    "bias on another grid": (
        element("stem.1.bias.scale", 0.25),
        r"stem\.1\.conv \(Conv\): the bias is on grid 2\^-2, the sums are on 2\^-9",
    ),
    "bias wider than 24 bits": (
        element("classifier.bias.int", 1 << 23),
        r"classifier\.add \(Add\): a bias is 8388608, the hardware has -8388608 to 8388607",
    ),
    "stride not square": (
        attribute("stem.0.conv", "strides", [2, 1]),
        r"stem\.0\.conv \(Conv\): strides are \[2, 1\], they must be equal",
    ),
    "pads not equal": (
        attribute("stem.0.conv", "pads", [1, 1, 0, 0]),
        r"stem\.0\.conv \(Conv\): pads are \[1, 1, 0, 0\], they must be equal",
    ),
    "pad as large as the kernel": (
        attribute("stem.1.conv", "pads", [3] * 4),
        r"stem\.1\.conv \(Conv\): pads of 3 with a kernel of 3 x 3: some windows would lie outside",
    ),
    "dilation": (
        attribute("stem.0.conv", "dilations", [2, 2]),
        r"stem\.0\.conv \(Conv\): dilations is \[2, 2\], only \[1, 1\] is supported; use a larger kernel",
    ),
    "groups": (
        attribute("stem.0.conv", "group", 2),
        r"stem\.0\.conv \(Conv\): group is 2, only 1 is supported",
    ),
    "automatic padding": (
        attribute("stem.0.conv", "auto_pad", "SAME_UPPER"),
        r"auto_pad is SAME_UPPER, only NOTSET is supported; write explicit pads",
    ),
    "unknown attribute": (
        attribute("stem.0.hilif", "refractory", 2),
        r"stem\.0\.hilif \(sparta::HILIF\): attribute refractory is unknown; known are frac, tau_bits",
    ),
    "missing attribute": (
        lambda model, edit: edit.node(model, "attention.0").attribute.pop(),
        r"attention\.0 \(sparta::SparseAttention\): attribute score_frac is missing",
    ),
    "leak zero": (
        element("stem.0.tau_inv", 0.0),
        r"stem\.0\.hilif \(sparta::HILIF\): tau_inv \* 2\^8 is 0, the hardware has 1 to 255",
    ),
    "leak one": (element("stem.0.tau_inv", 1.0), r"tau_inv \* 2\^8 is 256, the hardware has 1 to 255"),
    "leak off its grid": (
        element("stem.0.tau_inv", 0.3),
        r"tau_inv \[0\] is 0\.3\d*, not a multiple of 2\^-8; round it to that grid",
    ),
    "threshold zero": (
        element("stem.0.v_th", 0.0),
        r"stem\.0\.hilif .*v_th on the membrane's grid is 0, the hardware has 1 to 32767",
    ),
    "threshold not finite": (element("stem.0.v_th", np.inf), r"v_th \[0\] is inf, not a multiple of 2\^-8"),
    "soft reset to a level": (
        attribute("stem.1.hilif", "v_reset", 0.5),
        r"stem\.1\.hilif .*v_reset is 0\.5, with soft reset it must be 0",
    ),
    "other reset": (
        attribute("stem.1.hilif", "reset", "none"),
        r"reset is 'none', supported are 'hard' and 'soft'",
    ),
    "other leak precision": (
        attribute("stem.1.hilif", "tau_bits", 6),
        r"tau_bits is 6, only 8 is supported",
    ),
    "membrane on another grid": (
        attribute("stem.1.hilif", "frac", 9),
        r"stem\.1\.hilif .*frac is 9, only 8 is supported; it must be the grid of the quantiser",
    ),
    "membrane of 8 bits": (
        element("stem.0.quant.bits", 8),
        r"stem\.0\.quant .*the membrane is s8\.8, the core has s16\.8; quantise to 16 signed bits",
    ),
    "shift negative": (
        element("stem.0.quant.scale", 2.0**-12),
        r"stem\.0\.quant \(qonnx.*Quant\): the right shift from the sums \(2\^-9\) to the membrane "
        r"\(2\^-12\) is -3, the hardware has 0 to 31; use a coarser membrane grid",
    ),
    "shift too far": (
        element("query.0.quant.scale", 2.0**21),
        r"query\.0\.quant .*to the result \(2\^--21\) is 32, the hardware has 0 to 31",
    ),
    "rounding to nearest": (
        attribute("query.0.quant", "rounding_mode", "ROUND"),
        r"query\.0\.quant .*rounding_mode is ROUND, the hardware rounds down",
    ),
    "narrow range": (
        attribute("query.0.quant", "narrow", 1),
        r"query\.0\.quant .*narrow is 1, only 0 is supported",
    ),
    "zero point": (element("query.0.quant.zero", 3), r"query\.0\.quant .*the zero point is 3\.0, not 0"),
    "unsigned query": (
        attribute("query.0.quant", "signed", 0),
        r"query\.0\.quant .*the result is u8\.4, the core has s8\.4; quantise to 8 signed bits",
    ),
    "scale computed by the graph": (
        inputs("query.0.quant", 1, "score"),
        r"query\.0\.quant .*the scale must be constant, it is computed by the graph; store it as an initializer",
    ),
    "cue grid": (
        attribute("cues.0", "frac", 4),
        r"cues\.0 \(sparta::SpikeCues\): frac is 4, only 3 is supported",
    ),
    "table of another length": (
        lambda model, edit: edit.set_array(model, "msp_tables.0", np.zeros((4, 40), np.float32)),
        r"msp\.0 \(sparta::MSP\): msp_tables has shape \[4, 40\], \[4, 41\] is needed",
    ),
    "table out of range": (
        element("temporal_tables.0", 64.0),
        r"msp\.0 .*an entry of temporal_tables on grid 2\^-4 is 1024, the hardware has -1024 to 1023",
    ),
    "cues in another order": (
        inputs("msp.0", 0, "rate.0"),
        r"msp\.0 .*its first inputs must be the cues of one scale in the order first, interval, burst, rate",
    ),
    "K above the token count": (
        element("k", 10),
        r"topk \(sparta::TopKTokens\): the default of k is 10, the hardware has 1 to 9; the network has 9",
    ),
    "gain too large": (
        element("alpha", 4.0),
        r"gain .*alpha on grid 2\^-6 is 256, the hardware has 0 to 255",
    ),
    "tokens too fine": (
        attribute("gate.0", "frac", 7),
        r"gate\.0 .*the right shift from the gain \(2\^-6\) to the tokens \(2\^-7\) is -1, .*at most 6 fractional",
    ),
    "gate of other spikes": (
        inputs("gate.0", 0, "stem.0"),
        r"gate\.0 .*must read the spikes that the cues are taken from",
    ),
    "attention of one projection twice": (
        inputs("attention.0", 1, "query.0"),
        r"attention\.0 .*query, key and value must be three different projections",
    ),
    "attention masked by a cue": (
        inputs("attention.0", 3, "rate.0.part"),
        r"attention\.0 .*input 3 \('rate\.0\.part'\) is rate, it must be msp",
    ),
    "top-K of a cue": (
        inputs("topk", 0, "first.0"),
        r"topk .*input 0 \('first\.0'\) must be the result of FuseScores or TokenPriority, it is that of SpikeCues",
    ),
    "cues of the input": (
        inputs("cues.0", 0, "spikes"),
        r"cues\.0 .*input 0 \('spikes'\) must be the result of SpikingConv, it is that of no node",
    ),
    "classifier of scores": (
        inputs("classifier", 0, "score"),
        r"classifier \(MatMul\): input 0 \('score'\) must be the result of GatherTokens or Projection or TokenPool",
    ),
    "attention of unselected tokens": (
        inputs("query.0", 0, "tokens"),
        r"query\.0 .*input 0 \('tokens'\) must be the result of GatherTokens or .*, it is that of TokenGate",
    ),
    "attention on other grids": (
        attribute("attention.0", "frac_key", 2),
        r"attention\.0 .*frac_key is 2, only 3 is supported; it must be the grid of 'key\.0'",
    ),
    "sum over features": (
        element("axes", 2),
        r"tokens\.sum \(ReduceSum\): axes are \[2\], only the token axis, \[1\], can be summed",
    ),
    "sum keeps its axis": (attribute("tokens.sum", "keepdims", 1), r"tokens\.sum .*keepdims is 1, only 0"),
    "unknown operator": (
        insert("Relu", "pooled"),
        r"extra\.Relu \(Relu\): unknown operator; use sparta::HILIF",
    ),
    "batch normalisation": (
        insert("BatchNormalization", "stem.0.sums"),
        r"extra\.BatchNormalization .*: unknown operator; fold it into the convolution before it",
    ),
    "unknown operator of a known domain": (
        insert("Refractory", "stem.0", domain="sparta"),
        r"extra\.Refractory \(sparta::Refractory\): unknown operator; use only Add, Clip, Concat",
    ),
    "unknown domain": (
        insert("Foo", "stem.0", domain="com.example"),
        r"extra\.Foo \(com\.example::Foo\): unknown operator",
    ),
    "stray reshape": (
        insert("Reshape", "tokens"),
        r"extra\.Reshape \(Reshape\): input 1 is missing",
    ),
    "frames of another shape": (
        element("stem.0.in", 5),
        r"stem\.0\.fold \(Reshape\): the shape is \[5, 2, 6, 6\], here it must be \[-1, 2, 6, 6\]",
    ),
    "missing producer": (
        inputs("query.0", 0, "nowhere"),
        r"query\.0 \(MatMul\): input 0 reads 'nowhere', which nothing before it writes",
    ),
    "unused result": (
        lambda model, edit: model.graph.node.append(
            helper.make_node("Add", ["query.0.dot", "query.0.bias"], ["unread"], name="more")
        ),
        r"more \(Add\): its result 'unread' is used by nothing; remove the node",
    ),
    "nodes of one name": (
        lambda model, edit: setattr(edit.node(model, "key.0"), "name", "query.0"),
        r"query\.0 \(MatMul\): other nodes have the same name; make node names unique",
    ),
    "no logits": (
        lambda model, edit: model.graph.output.pop(),
        r"classifier\.add \(Add\): its result 'logits' is used by nothing",
    ),
    "free batch only": (
        lambda model, edit: setattr(model.graph.input[0].type.tensor_type.shape.dim[0], "dim_param", "time"),
        r"input 'spikes' has shape \?x\?x2x6x6; export it as \[T, batch, C, H, W\], or for",
    ),
    "another input": (
        lambda model, edit: model.graph.input.append(
            helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1])
        ),
        r"the inputs without an initializer are 'spikes', 'mask'; there must be one",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_refuses(case: str, model: ModelProto, edit: SimpleNamespace, load: Callable) -> None:
    change, message = CASES[case]
    change(model, edit)
    with pytest.raises(UnsupportedError, match=message):
        load(model)


def test_lists_every_unsupported_node_at_once(
    model: ModelProto, edit: SimpleNamespace, load: Callable
) -> None:
    attribute("stem.0.conv", "group", 2)(model, edit)
    attribute("stem.0.conv", "dilations", [2, 2])(model, edit)
    element("query.0.quant.zero", 1)(model, edit)
    element("stem.1.tau_inv", 2.0)(model, edit)
    insert("Dropout", "pooled")(model, edit)
    with pytest.raises(UnsupportedError) as caught:
        load(model)
    title, *lines = str(caught.value).splitlines()
    assert title.endswith("small.onnx: this network cannot be mapped, 5 problems:")
    assert [line.split(" (")[0].strip() for line in lines] == [
        "stem.0.conv",
        "stem.0.conv",
        "stem.1.hilif",
        "query.0.quant",
        "extra.Dropout",
    ]


def test_two_networks_in_one_file(model: ModelProto, edit: SimpleNamespace, load: Callable) -> None:
    node = helper.make_node("TopKTokens", ["score", "k"], ["second"], name="topk2", domain="sparta")
    model.graph.node.insert(list(model.graph.node).index(edit.node(model, "gate.0")), node)
    model.graph.output.append(helper.make_tensor_value_info("second", TensorProto.INT64, None))
    with pytest.raises(UnsupportedError, match="FuseScores -> TopKTokens -> TopKTokens -> TokenGate"):
        load(model)


def test_constants_may_be_nodes(model: ModelProto, edit: SimpleNamespace, load: Callable) -> None:
    entry = next(entry for entry in model.graph.initializer if entry.name == "axes")
    model.graph.initializer.remove(entry)
    node = helper.make_node("Constant", [], ["axes"], name="axes.constant", value=entry)
    model.graph.node.insert(0, node)
    assert numpy_helper.to_array(entry).tolist() == [1]
    assert load(model).default_k == 4
