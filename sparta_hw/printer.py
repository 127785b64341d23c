"""Graphs as text: one operation a line, what it reads, what it writes, and its numbers."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from sparta_hw.ir import CueScale, GateSource, Graph, Operation, TokenMLP, Value

__all__ = ["print_graph"]


def print_graph(graph: Graph) -> str:
    """A readable listing of the graph."""
    lines = [f"graph {graph.name}({graph.input}), {_default_k(graph)}"]
    for op in graph.operations:
        results = ", ".join(map(str, getattr(op, "outputs", (op.output,))))
        details = "; ".join(_details(op))
        lines.append(f"  {results}\n    = {type(op).__name__} {op.node}({details})")
    return "\n".join(lines) + "\n"


def _default_k(graph: Graph) -> str:
    return f"default K {graph.default_k or 'dynamic'}" if graph.tokens else "no tokens"


def _details(op: Operation) -> Iterator[str]:
    for field in fields(op):
        value = getattr(op, field.name)
        if field.name not in ("node", "output", "outputs") and value is not None:
            yield f"{field.name} {_text(value)}"


def _text(value: Any) -> str:
    match value:
        case Value():
            return value.name
        case tuple():
            return "[" + ", ".join(map(_text, value)) + "]"
        case np.ndarray():
            low, high = int(value.min()), int(value.max())
            span = str(low) if low == high else f"{low}..{high}"
            return f"{'x'.join(map(str, value.shape))} of {span}"
        case CueScale() | GateSource() | TokenMLP():
            parts = ((field.name, getattr(value, field.name)) for field in fields(value))
            return "(" + ", ".join(f"{name} {_text(part)}" for name, part in parts if part is not None) + ")"
    return str(value)
