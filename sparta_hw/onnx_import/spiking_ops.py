"""The spiking stem: Reshape -> Conv -> Quant -> Reshape -> sparta::HILIF."""

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_hw.ir import Kind, SpikingConv, Value
from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import.scope import NodeView
from sparta_hw.onnx_import.symbols import ConvSums, Frames, Integers, Membranes, Result, Symbol

__all__ = ["convolution", "hilif", "quantised_convolution", "reshape"]

SHIFTS = (0, 31)
"""What the hardware's shifters do."""


def reshape(node: NodeView) -> tuple[Symbol, ...]:
    """``Reshape`` that folds time into the batch before a Conv, or unfolds it after the quantiser."""
    node.only_attributes("allowzero")
    target = [int(n) for n in node.constant(1, "the shape")]
    symbol = node.symbol(0)
    match symbol:
        case Result(value=value) if value.kind is Kind.SPIKES:
            expected = [-1, *value.shape[1:]]
            folded: Symbol = Frames(value)
        case Membranes(folded=True):
            expected = [symbol.sums.input.shape[0], -1, *symbol.sums.shape]
            folded = Membranes(symbol.sums, symbol.membrane, folded=False)
        case _:
            raise node.refuse("reshapes neither spikes before a Conv nor a quantised Conv; remove it")
    node.require(target == expected, f"the shape is {target}, here it must be {expected}")
    node.settle()
    return (folded,)


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
    frames = node.read(0, Frames, "spikes reshaped to [-1, C, H, W]")
    _, channels, height, width = frames.value.shape
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
    return (ConvSums(node.name, frames.value, weight.values, bias, weight.frac, stride, pad, shape),)


def in_range_s8(node: NodeView, weight: Integers) -> None:
    """Refuse weights that are not s8."""
    low, high = FixedPoint(CoreConfig.weight_bits, 0).min, FixedPoint(CoreConfig.weight_bits, 0).max
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
    return (Membranes(sums, target, folded=True),)


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
    threshold = node.on_grid(node.constant(2, "v_th"), number.frac, "v_th").reshape(-1)
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
    drive = node.read(0, Membranes, "a quantised Conv reshaped to [T, -1, C, H, W]")
    sums, membrane = drive.sums, drive.membrane
    outputs, height, width = sums.shape
    node.require(
        not drive.folded, "reads a Conv whose time is still in the batch; Reshape it to [T, -1, C, H, W]"
    )
    node.fixed_attribute("frac", None, membrane.frac, "it must be the grid of the quantiser before it")
    for what, values in (("tau_inv", leak), ("v_th", threshold)):
        node.require(values.size == outputs, f"{what} has {values.size} values for {outputs} channels")
    node.settle()
    steps = sums.input.shape[0]
    output = Value(
        node.outputs[0], (steps, outputs, height, width), FixedPoint(1, 0, signed=False), Kind.SPIKES
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
        )
    )
    return (Result(output),)
