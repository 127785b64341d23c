"""Nodes whose results are constants: Constant, and DequantizeLinear of integers."""

import numpy as np
from onnx import TensorProto, numpy_helper

from sparta_hw.onnx_import.scope import NodeView, power_of_two
from sparta_hw.onnx_import.symbols import Constant, Integers, Symbol

__all__ = ["constant", "dequantize"]


def constant(node: NodeView) -> tuple[Symbol, ...]:
    """``Constant`` with any of its numeric attributes."""
    for name in ("value", "value_float", "value_floats", "value_int", "value_ints"):
        value = node.attribute(name, ())
        if isinstance(value, TensorProto):
            return (Constant(numpy_helper.to_array(value)),)
        if not isinstance(value, tuple):
            return (Constant(np.asarray(value)),)
    raise node.refuse("a constant that is not numeric; store a dense numeric tensor")


def dequantize(node: NodeView) -> tuple[Symbol, ...]:
    """``DequantizeLinear`` of an integer initializer: scalar power-of-two scale, zero point 0."""
    node.only_attributes("axis", "block_size", "output_dtype")
    symbol = node.symbol(0)
    if not isinstance(symbol, Constant):
        raise node.refuse(
            "dequantises an activation; quantise activations with qonnx Quant, weights as int8 initializers"
        )
    values = symbol.values
    node.require(
        values.dtype in (np.int8, np.int32),
        f"integers are {values.dtype}; weights are int8, biases int32",
    )
    scale = node.scalar(1, "the scale")
    frac = power_of_two(scale)
    node.require(
        frac is not None, f"the scale is {scale}, not a power of two; restrict the scale in the quantiser"
    )
    if node.has(2):
        zero = node.constant(2, "the zero point")
        node.require(not np.any(zero), f"the zero point is {np.max(zero)}, not 0; quantise symmetrically")
    node.settle()
    return (Integers(values.astype(np.int64), frac or 0),)
