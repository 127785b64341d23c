"""Nodes and initializers of the dialect's standard operators (docs/dialect.md)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from sparta_hw.numerics import FixedPoint
from sparta_hw.onnx_ops import QUANT_DOMAIN, SPARTA_DOMAIN
from sparta_quant.integers import WeightIntegers

__all__ = ["Nodes"]


class Nodes:
    """A graph under construction; methods that make a value answer with its name."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []

    def node(self, op: str, name: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        """One node; its first result is usually the value of interest."""
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **attributes))

    def sparta(self, op: str, name: str, inputs: list[str], outputs: list[str], **attributes: object) -> None:
        """One node of the ``sparta`` domain."""
        self.node(op, name, inputs, outputs, domain=SPARTA_DOMAIN, **attributes)

    def constant(self, name: str, values: NDArray | np.generic) -> str:
        """An initializer."""
        self.initializers.append(
            numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)
        )
        return name

    def real(self, name: str, integers: NDArray | int, frac: int) -> str:
        """An initializer of real numbers on the grid ``2**-frac``."""
        return self.constant(name, (np.asarray(integers) * 2.0**-frac).astype(np.float32))

    def axes(self, name: str, *axes: int) -> str:
        """An int64 vector, for axes and shapes."""
        return self.constant(name, np.array(axes, np.int64))

    def reshape(self, name: str, x: str, shape: tuple[int, ...]) -> str:
        """``x`` in another shape."""
        self.node("Reshape", name, [x, self.axes(f"{name}.shape", *shape)], [f"{name}.output"])
        return f"{name}.output"

    def quant(self, name: str, x: str, output: str, fmt: FixedPoint) -> str:
        """``x`` floored and saturated to ``fmt``."""
        scale = self.constant(f"{name}.scale", np.float32(fmt.scale))
        zero = self.constant(f"{name}.zero_point", np.float32(0))
        bits = self.constant(f"{name}.bits", np.float32(fmt.bits))
        self.node(
            "Quant",
            name,
            [x, scale, zero, bits],
            [output],
            domain=QUANT_DOMAIN,
            signed=int(fmt.signed),
            narrow=0,
            rounding_mode="FLOOR",
        )
        return output

    def dequantized(self, name: str, values: NDArray[np.int64], dtype: type, frac: int) -> str:
        """Integers behind a DequantizeLinear with one scale."""
        integers = self.constant(name, values.astype(dtype))
        # ONNX Runtime makes MatMulNBits of a MatMul behind a rank-0 scale, which rounds its input to 8 bits.
        scale = self.constant(
            f"{name}.scale", np.full((1,) if values.ndim == 2 else (), 2.0**-frac, np.float32)
        )
        self.node("DequantizeLinear", f"{name}.dequantize", [integers, scale], [f"{name}.value"])
        return f"{name}.value"

    def linear(self, name: str, x: str, weights: WeightIntegers, input_frac: int, output: str) -> str:
        """Exact sums of a linear layer."""
        weight = self.dequantized(f"{name}.weight", weights.weight.T, np.int8, weights.frac)
        if weights.bias is None:
            self.node("MatMul", name, [x, weight], [output])
            return output
        self.node("MatMul", name, [x, weight], [f"{name}.product"])
        bias = self.dequantized(f"{name}.bias", weights.bias, np.int32, weights.frac + input_frac)
        self.node("Add", f"{name}.add", [f"{name}.product", bias], [output])
        return output
