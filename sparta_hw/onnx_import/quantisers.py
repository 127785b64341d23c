"""Activation quantisers: qonnx Quant, whose meaning depends on what it quantises."""

from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_import.dense_ops import quantised_linear, quantised_pool
from sparta_hw.onnx_import.scope import NodeView, power_of_two
from sparta_hw.onnx_import.spiking_ops import quantised_convolution
from sparta_hw.onnx_import.symbols import ConvSums, LinearSums, PoolSums, Symbol

__all__ = ["quant"]

_BITS = (1, 62)


def quant(node: NodeView) -> tuple[Symbol, ...]:
    """``Quant`` of a convolution, a projection or the pool; power-of-two scale, zero point 0, FLOOR."""
    node.only_attributes("signed", "narrow", "rounding_mode")
    target = _number(node)
    symbol = node.symbol(0)
    match symbol:
        case ConvSums():
            return quantised_convolution(node, symbol, target)
        case LinearSums():
            return quantised_linear(node, symbol, target)
        case PoolSums():
            return quantised_pool(node, symbol, target)
    raise node.refuse("quantises neither a Conv, nor a projection, nor the pool; remove it")


def _number(node: NodeView) -> FixedPoint:
    scale = node.scalar(1, "the scale")
    frac = power_of_two(scale)
    node.require(
        frac is not None, f"the scale is {scale}, not a power of two; restrict the scale in the quantiser"
    )
    zero = node.scalar(2, "the zero point")
    node.require(zero == 0, f"the zero point is {zero}, not 0; quantise symmetrically")
    bits = node.scalar(3, "the bit width")
    whole = bits.is_integer() and _BITS[0] <= bits <= _BITS[1]
    node.require(whole, f"the bit width is {bits}, not an integer from {_BITS[0]} to {_BITS[1]}")
    mode = str(node.attribute("rounding_mode", "ROUND")).upper()
    node.require(
        mode == "FLOOR",
        f"rounding_mode is {mode}, the hardware rounds down; train with float_to_int_impl_type FLOOR",
    )
    node.fixed_attribute("narrow", 0, 0, "use the full range of the format")
    node.settle()
    return FixedPoint(int(bits), frac or 0, signed=bool(node.attribute("signed", 1)))
