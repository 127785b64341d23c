"""Reading one node: its attributes and inputs, and every reason to refuse it."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from sparta_hw.ir import Operation, PatchGroup, SpikeCues, Value
from sparta_hw.onnx_import.record import Record
from sparta_hw.onnx_import.symbols import Broken, Constant, Integers, Result, Symbol

__all__ = ["NodeView", "Refused", "Scope", "power_of_two"]

IntArray = NDArray[np.int64]
Expected = TypeVar("Expected")
Found = TypeVar("Found", bound=Operation)


class Refused(Exception):
    """The node cannot be mapped; ``reasons`` is empty when only its inputs are to blame."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def power_of_two(scale: float) -> int | None:
    """``frac`` with ``scale == 2**-frac``, or None."""
    mantissa, exponent = np.frexp(scale)
    return 1 - int(exponent) if mantissa == 0.5 else None


def written(op: Operation) -> tuple[Value, ...]:
    """All values that an operation writes."""
    return op.outputs if isinstance(op, SpikeCues) else (op.output,)


class Scope:
    """State of one import.

    Attributes
    ----------
    symbols : dict of str to Symbol
        What each tensor read so far stands for.
    operations : list of Operation
        The IR so far.
    default_k : int
        The initializer of ``k``.
    k : str
        Tensor with the K of each sample; empty until something reads it.
    state : str
        Tensor with the feedback state; empty until something reads it.
    record : Record or None
        Set when the first field of the record is read.
    """

    def __init__(self, symbols: dict[str, Symbol]) -> None:
        self.symbols = symbols
        self.operations: list[Operation] = []
        self.default_k = 0
        self.k = ""
        self.state = ""
        self.record: Record | None = None

    def all(self, kind: type[Found]) -> list[Found]:
        """The operations of one type so far."""
        return [op for op in self.operations if isinstance(op, kind)]

    @property
    def group(self) -> Value | None:
        """Grid token of each token; None without patch grouping."""
        return next((op.output for op in self.all(PatchGroup)), None)


class NodeView:
    """One ONNX node in a scope.

    Attributes
    ----------
    name : str
        Its name, or that of its first output when it has none.
    operator : str
        Operator with its domain, such as ``sparta::HILIF``.
    inputs, outputs : list of str
        Names of what it reads and of its results.
    """

    def __init__(self, node: NodeProto, scope: Scope) -> None:
        self.domain = "" if node.domain == "ai.onnx" else node.domain
        self.operator = f"{self.domain}::{node.op_type}" if self.domain else node.op_type
        self.outputs = list(node.output)
        self.name = node.name or (self.outputs[0] if self.outputs else self.operator)
        self.scope = scope
        self.inputs = list(node.input)
        self._attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        self._reasons: list[str] = []

    def require(self, condition: bool, reason: str) -> bool:
        """Note ``reason`` to refuse the node unless ``condition``; reading goes on, to find all reasons."""
        if not condition:
            self._reasons.append(reason)
        return condition

    def settle(self) -> None:
        """Stop here if there is any reason to refuse the node."""
        if self._reasons:
            raise Refused(self._reasons)

    def refuse(self, reason: str) -> Refused:
        """The error that refuses the node for ``reason`` and all earlier ones."""
        return Refused([*self._reasons, reason])

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute, strings decoded; without a default it must be there."""
        value = self._attributes.get(name, default)
        if value is None:
            raise self.refuse(f"attribute {name} is missing; docs/dialect.md lists what the operator needs")
        return value.decode() if isinstance(value, bytes) else value

    def only_attributes(self, *known: str) -> None:
        """Refuse attributes whose meaning is unknown here."""
        for name in sorted(set(self._attributes) - set(known)):
            self.require(False, f"attribute {name} is unknown; known are {', '.join(known) or 'none'}")

    def fixed_attribute(self, name: str, default: Any, only: Any, way_out: str) -> None:
        """Refuse any value of an attribute but ``only``."""
        value = self.attribute(name, default)
        self.require(value == only, f"{name} is {value}, only {only} is supported; {way_out}")

    def has(self, position: int) -> bool:
        """Whether the optional input is given."""
        return position < len(self.inputs) and bool(self.inputs[position])

    def source(self, position: int) -> str:
        """Name of the tensor that the input reads."""
        if not self.has(position):
            raise self.refuse(f"input {position} is missing")
        return self.inputs[position]

    def symbol(self, position: int) -> Symbol:
        """What the input stands for."""
        name = self.source(position)
        if name not in self.scope.symbols:
            raise self.refuse(f"input {position} reads {name!r}, which nothing before it writes")
        symbol = self.scope.symbols[name]
        if isinstance(symbol, Broken):
            raise Refused(self._reasons)
        return symbol

    def read(self, position: int, expected: type[Expected], what: str) -> Expected:
        """The input as a symbol of one type; ``what`` names in the error what belongs there."""
        symbol = self.symbol(position)
        if not isinstance(symbol, expected):
            raise self.wrong(position, what)
        return symbol

    def wrong(self, position: int, what: str) -> Refused:
        """The error that refuses the node because an input is not ``what`` belongs there."""
        found = type(self.symbol(position)).__name__
        return self.refuse(
            f"input {position} ({self.source(position)!r}) must be {what}, it is {found}; "
            "see the chains of docs/dialect.md"
        )

    def result(self, position: int, *producers: type[Operation]) -> Value:
        """The input as a value of the IR that an operation of one of these types writes."""
        expected = " or ".join(producer.__name__ for producer in producers)
        value = self.read(position, Result, f"the result of {expected}").value
        found = next((op for op in self.scope.operations if value in written(op)), None)
        if not isinstance(found, producers):
            source = type(found).__name__ if found else "no node: it is the input of the network"
            raise self.refuse(
                f"input {position} ({value.name!r}) must be the result of {expected}, it is that of {source}"
            )
        return value

    def constant(self, position: int, what: str) -> NDArray:
        """The input as an array of real numbers."""
        symbol = self.symbol(position)
        match symbol:
            case Constant():
                return np.asarray(symbol.values)
            case Integers():
                return symbol.values * 2.0**-symbol.frac
        raise self.refuse(f"{what} must be constant, it is computed by the graph; store it as an initializer")

    def integers(self, position: int, what: str, shape: tuple[int, ...]) -> IntArray:
        """The input as an array of integers of one shape."""
        values = self.constant(position, what)
        if values.dtype.kind not in "iu":
            raise self.refuse(f"{what} is {values.dtype}; store it as integers")
        if values.shape != shape:
            raise self.refuse(f"{what} has shape {list(values.shape)}, it must be {list(shape)}")
        return values.astype(np.int64)

    def scalar(self, position: int, what: str) -> float:
        """The input as one real number."""
        values = self.constant(position, what)
        if values.size != 1:
            raise self.refuse(f"{what} has {values.size} values, it must be one")
        return float(values.reshape(-1)[0])

    def on_grid(self, values: NDArray, frac: int, what: str) -> IntArray:
        """Integers of constants on grid ``2**-frac``; refuses any other number."""
        scaled = np.asarray(values, np.float64) * 2.0**frac
        integers = np.rint(scaled) if np.all(np.isfinite(scaled)) else np.zeros_like(scaled)
        off = np.flatnonzero(integers.reshape(-1) != scaled.reshape(-1))
        if off.size:
            first = np.asarray(values).reshape(-1)[off[0]]
            raise self.refuse(
                f"{what} [{off[0]}] is {first}, not a multiple of 2^-{frac}; round it to that grid"
            )
        return integers.astype(np.int64)

    def in_range(self, values: IntArray | int, low: int, high: int, what: str, way_out: str) -> None:
        """Refuse integers outside of ``low`` to ``high``."""
        array = np.asarray(values)
        outside = array[(array < low) | (array > high)]
        if outside.size:
            self.require(
                False, f"{what} is {outside.reshape(-1)[0]}, the hardware has {low} to {high}; {way_out}"
            )
