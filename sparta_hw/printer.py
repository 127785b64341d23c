"""Graphs as text: one operation a line, what it reads, what it writes, and its numbers."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.ir import (
    Graph,
    Operation,
    Projection,
    SparseAttention,
    SpikeCues,
    SpikingConv,
    TokenGate,
    TokenPool,
    TokenScore,
    TopKTokens,
    Value,
)

__all__ = ["print_graph"]


def print_graph(graph: Graph) -> str:
    """A readable listing of the graph."""
    lines = [f"graph {graph.name}({graph.input}), default K {graph.default_k}"]
    for op in graph.operations:
        outputs = op.outputs if isinstance(op, SpikeCues) else (op.output,)
        results = ", ".join(map(str, outputs))
        lines.append(f"  {results}\n    = {type(op).__name__} {op.node}({_details(op)})")
    return "\n".join(lines) + "\n"


def _names(*values: Value) -> str:
    return ", ".join(value.name for value in values)


def _details(op: Operation) -> str:
    match op:
        case SpikingConv():
            kernel = "x".join(map(str, op.weight.shape))
            reset = "soft" if op.soft_reset else f"hard to {op.v_reset}"
            return (
                f"{_names(op.input)}; weight {kernel}, stride {op.stride}, pad {op.pad}, shift {op.shift}, "
                f"membrane {op.membrane}, leak {_span(op.leak)}, threshold {_span(op.threshold)}, "
                f"reset {reset}"
            )
        case SpikeCues() | TopKTokens():
            return _names(op.input)
        case TokenScore():
            return f"{_names(*op.inputs)}; tables {op.tables.shape[1]} entries, {_span(op.tables)}"
        case TokenGate():
            return f"{_names(op.input, op.index)}; alpha {op.alpha}, beta {op.beta}, shift {op.shift}"
        case Projection():
            sources = (op.input,) if op.index is None else (op.input, op.index)
            kernel = "x".join(map(str, op.weight.shape))
            return f"{_names(*sources)}; weight {kernel}, shift {op.shift}"
        case SparseAttention():
            return f"{_names(op.query, op.key, op.value, op.score, op.index)}; shift {op.shift}"
        case TokenPool():
            return (
                f"{_names(op.tokens, op.attention)}; token shift {op.token_shift}, "
                f"attention shift {op.attention_shift}, shift {op.shift}"
            )
    raise TypeError(f"{op.node}: no text for {type(op).__name__}")


def _span(values: NDArray[np.int64]) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}..{high}"
