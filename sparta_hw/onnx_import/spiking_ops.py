"""Spiking convolutions: Reshape -> Conv -> Quant -> Reshape -> sparta::HILIF, and the same of an image."""

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Kind, SpikingConv, ThresholdFeedback, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import.scope import IntArray, NodeView
from sparta_hw.onnx_import.symbols import (
    ConvSums,
    Frames,
    Integers,
    Membranes,
    MovedThresholds,
    Result,
    Symbol,
)
from sparta_hw.onnx_import.token_inputs import SHIFTS, state_input

__all__ = [
    "bias_on",
    "convolution",
    "expand",
    "hilif",
    "in_range_s8",
    "quantised_convolution",
    "reshape",
    "threshold_offset",
    "unsqueeze",
]


def reshape(node: NodeView) -> tuple[Symbol, ...]:
    """``Reshape`` that folds time into the batch before a Conv, or unfolds it after the quantiser."""
    node.only_attributes("allowzero")
    target = [int(n) for n in node.constant(1, "the shape")]
    symbol = node.symbol(0)
    match symbol:
        case Result(value=value) if value.kind is Kind.SPIKES:
            expected = [-1, *value.shape[1:]]
            folded: Symbol = Frames(value)
        case Membranes(sums=sums, steps=0) if sums.input.kind is Kind.SPIKES:
            steps = sums.input.shape[0]
            expected = [steps, -1, *sums.shape]
            folded = Membranes(sums, symbol.membrane, steps)
        case _:
            raise node.refuse("reshapes neither spikes before a Conv nor a quantised Conv; remove it")
    node.require(target == expected, f"the shape is {target}, here it must be {expected}")
    node.settle()
    return (folded,)


def unsqueeze(node: NodeView) -> tuple[Symbol, ...]:
    """``Unsqueeze`` of the currents of an image: the first of T equal steps."""
    node.only_attributes()
    currents = node.read(0, Membranes, "a quantised Conv of the pixels")
    axes = np.asarray(node.constant(1, "the axes")).reshape(-1).tolist()
    node.require(axes == [0], f"axes are {axes}, time is the first axis: [0]")
    node.require(
        currents.sums.input.kind is Kind.INTEGERS and not currents.steps,
        "reads currents of spikes, which have their time; remove it",
    )
    node.settle()
    return (Membranes(currents.sums, currents.membrane, one_step=True),)


def expand(node: NodeView) -> tuple[Symbol, ...]:
    """``Expand`` of the currents of an image to T steps."""
    node.only_attributes()
    target = [int(n) for n in node.constant(1, "the shape")]
    currents = node.read(0, Membranes, "a quantised Conv of the pixels, unsqueezed")
    node.require(currents.one_step, "reads a Conv that has no axis for the time; Unsqueeze it at axis 0")
    node.require(
        len(target) == 5 and target[0] > 0 and target[1:] == [1] * 4,
        f"the shape is {target}, it must be [T, 1, 1, 1, 1]",
    )
    node.settle()
    return (Membranes(currents.sums, currents.membrane, target[0]),)


def convolution(node: NodeView) -> tuple[Symbol, ...]:
    """``Conv`` over space with int8 weights and an int32 bias on the grid of the sums."""
    weight = node.read(1, Integers, "a weight: an int8 initializer behind DequantizeLinear")
    node.only_attributes("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
    if weight.values.ndim != 4:
        raise node.refuse(
            f"the weight has {weight.values.ndim} dimensions, only 2-D convolutions (4) are supported"
        )
    outputs, inner, *kernel = weight.values.shape
    node.fixed_attribute("auto_pad", "NOTSET", "NOTSET", "write explicit pads")
    node.fixed_attribute("dilations", [1, 1], [1, 1], "use a larger kernel or a stride")
    node.fixed_attribute("group", 1, 1, "replace the grouped convolution by a dense one")
    node.fixed_attribute("kernel_shape", kernel, kernel, "it must be the shape of the weight")
    strides, pads = node.attribute("strides", [1, 1]), node.attribute("pads", [0, 0, 0, 0])
    node.require(
        len(set(strides)) == 1,
        f"strides are {list(strides)}, they must be equal; use the same stride on both axes",
    )
    node.require(len(set(pads)) == 1, f"pads are {list(pads)}, they must be equal; pad all four sides alike")
    node.require(
        max(pads) < min(kernel),
        f"pads of {max(pads)} with a kernel of {kernel[0]} x {kernel[1]}: "
        "some windows would lie outside of the image; use pads smaller than the kernel",
    )
    in_range_s8(node, weight)
    bias = bias_on(node, 2, weight.frac, outputs) if node.has(2) else np.zeros(outputs, np.int64)
    source = _image(node)
    channels, height, width = source.shape[-3:]
    node.require(
        inner == channels,
        f"the weight reads {inner} channels, its input has {channels}; export the network again",
    )
    stride, pad = int(strides[0]), int(pads[0])
    node.settle()
    grid = [(size + 2 * pad - k) // stride + 1 for size, k in zip((height, width), kernel, strict=True)]
    node.require(
        min(grid) > 0, f"a kernel of {kernel[0]} x {kernel[1]} does not fit an image of {height} x {width}"
    )
    node.settle()
    shape = (outputs, grid[0], grid[1])
    return (ConvSums(node.name, source, weight.values, bias, weight.frac, stride, pad, shape),)


def _image(node: NodeView) -> Value:
    """What a Conv reads: spikes with time in the batch, or the pixels of direct coding."""
    match node.symbol(0):
        case Frames(value=value):
            return value
        case Result(value=value) if value.kind is Kind.INTEGERS and len(value.shape) == 3:
            return value
    raise node.wrong(0, "spikes reshaped to [-1, C, H, W], or pixels")


def in_range_s8(node: NodeView, weight: Integers) -> None:
    """Refuse weights that are not s8."""
    low, high = FixedPoint(CoreConfig.max_weight_bits, 0).min, FixedPoint(CoreConfig.max_weight_bits, 0).max
    node.in_range(weight.values, low, high, "a weight", "quantise weights to int8")


def bias_on(node: NodeView, position: int, frac: int, outputs: int) -> np.ndarray:
    """The bias at an input as integers on the grid of the sums."""
    bias = node.read(position, Integers, "a bias: an int32 initializer behind DequantizeLinear")
    node.require(
        bias.frac == frac,
        f"the bias is on grid 2^-{bias.frac}, the sums are on 2^-{frac}; "
        "quantise the bias with the scale of the sums",
    )
    node.require(bias.values.size == outputs, f"{bias.values.size} biases for {outputs} outputs")
    number = FixedPoint(CoreConfig.bias_bits, 0)
    node.in_range(
        bias.values, number.min, number.max, "a bias", "use smaller biases or a coarser weight scale"
    )
    return bias.values.reshape(-1)


def quantised_convolution(node: NodeView, sums: ConvSums, target: FixedPoint) -> tuple[Symbol, ...]:
    """``Quant`` of a convolution: s16 on the grid of the membrane."""
    node.in_range(
        sums.frac - target.frac,
        *SHIFTS,
        f"the right shift from the sums (2^-{sums.frac}) to the membrane (2^-{target.frac})",
        "use a coarser membrane grid or a finer weight scale",
    )
    expected = FixedPoint(CoreConfig.membrane_bits, target.frac)
    node.require(
        target == expected, f"the membrane is {target}, the core has {expected}; quantise to 16 signed bits"
    )
    node.settle()
    return (Membranes(sums, target),)


def threshold_offset(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::ThresholdOffset``: thresholds that follow the feedback state."""
    node.only_attributes("frac", "gain", "limit")
    frac, gain, limit = (int(node.attribute(name)) for name in ("frac", "gain", "limit"))
    node.in_range(gain, 0, 255, "gain", "use a smaller gain")
    node.in_range(limit, 0, 4095, "limit", "use a smaller limit")
    values = node.constant(0, "v_th")
    state_input(node, 1)
    node.settle()
    return (MovedThresholds(values, frac, ThresholdFeedback(gain=gain, limit=limit)),)


def hilif(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::HILIF``: emits the SpikingConv."""
    node.only_attributes("frac", "tau_bits", "reset", "v_reset")
    node.fixed_attribute(
        "tau_bits", None, CoreConfig.tau_bits, "freeze tau_inv with that many fractional bits"
    )
    reset = node.attribute("reset")
    node.require(reset in ("hard", "soft"), f"reset is {reset!r}, supported are 'hard' and 'soft'")
    number = FixedPoint(CoreConfig.membrane_bits, int(node.attribute("frac")))
    leak = node.on_grid(node.constant(1, "tau_inv"), CoreConfig.tau_bits, "tau_inv").reshape(-1)
    threshold, feedback = _thresholds(node, number)
    start = node.on_grid(np.array([node.attribute("v_reset")]), number.frac, "v_reset")
    slowest = (1 << CoreConfig.tau_bits) - 1
    node.in_range(leak, 1, slowest, f"tau_inv * 2^{CoreConfig.tau_bits}", "limit the learned time constants")
    node.in_range(threshold, 1, number.max, "v_th on the membrane's grid", "limit the learned thresholds")
    node.in_range(
        start, number.min, number.max, "v_reset on the membrane's grid", "use a v_reset nearer to 0"
    )
    node.require(
        reset != "soft" or not start.any(),
        f"v_reset is {start[0] * number.scale}, with soft reset it must be 0",
    )
    drive = node.read(0, Membranes, "a quantised Conv with its time: [T, -1, C, H, W]")
    sums, membrane = drive.sums, drive.membrane
    outputs, height, width = sums.shape
    node.require(
        drive.steps > 0,
        "reads a Conv whose time is still in the batch; Reshape it to [T, -1, C, H, W]"
        if sums.input.kind is Kind.SPIKES
        else "reads a Conv of pixels without time; Unsqueeze it and Expand it to T steps",
    )
    node.fixed_attribute("frac", None, membrane.frac, "it must be the grid of the quantiser before it")
    for what, values in (("tau_inv", leak), ("v_th", threshold)):
        node.require(values.size == outputs, f"{what} has {values.size} values for {outputs} channels")
    node.settle()
    output = Value(
        node.outputs[0], (drive.steps, outputs, height, width), FixedPoint(1, 0, signed=False), Kind.SPIKES
    )
    node.scope.operations.append(
        SpikingConv(
            node=sums.node,
            output=output,
            input=sums.input,
            weight=sums.weight,
            bias=sums.bias,
            shift=sums.frac - membrane.frac,
            stride=sums.stride,
            pad=sums.pad,
            leak=leak,
            threshold=threshold,
            soft_reset=reset == "soft",
            v_reset=int(start[0]),
            membrane=membrane,
            feedback=feedback,
        )
    )
    return (Result(output),)


def _thresholds(node: NodeView, number: FixedPoint) -> tuple[IntArray, ThresholdFeedback | None]:
    """Thresholds on the membrane's grid, and how they follow the feedback state."""
    symbol = node.symbol(2)
    if not isinstance(symbol, MovedThresholds):
        return node.on_grid(node.constant(2, "v_th"), number.frac, "v_th").reshape(-1), None
    node.require(
        symbol.frac == number.frac,
        f"v_th moves on grid 2^-{symbol.frac}, frac is {number.frac}; give ThresholdOffset the same frac",
    )
    return node.on_grid(symbol.values, number.frac, "v_th").reshape(-1), symbol.feedback
