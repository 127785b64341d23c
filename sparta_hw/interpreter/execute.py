"""Run a graph, one operation after the other, on a batch of samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import CapacityError, InputFileError
from sparta_hw.interpreter.attention import attention, pool, projection
from sparta_hw.interpreter.selection import gate, score, spike_cues, top_k
from sparta_hw.interpreter.spiking import spiking_conv
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
)

__all__ = ["run"]

IntArray = NDArray[np.int64]


def run(graph: Graph, spikes: NDArray[Any], k: int | None = None) -> dict[str, IntArray]:
    """All layer results of a batch.

    Parameters
    ----------
    graph : Graph
        The network.
    spikes : int array (n, T, C, H, W)
        Zeros and ones.
    k : int, optional
        Tokens that attend, 1 to N; the network's default K if not given.

    Returns
    -------
    dict of str to int64 array
        Integers of each tensor by name, the batch dimension first: (n, *shape of the value).

    Raises
    ------
    InputFileError
        ``spikes`` has another shape, or a value that is neither 0 nor 1.
    CapacityError
        ``k`` is not in 1 to N.
    """
    rank_count = graph.default_k if k is None else k
    if not 1 <= rank_count <= graph.tokens:
        raise CapacityError(
            f"{graph.name}: K is {rank_count}, the network has {graph.tokens} tokens: use 1 to that"
        )
    batch = np.asarray(spikes)
    if batch.shape[1:] != graph.input.shape:
        expected = "x".join(map(str, graph.input.shape))
        raise InputFileError(f"{graph.input.name}: spikes have shape {batch.shape}, not (n, {expected})")
    if not np.all((batch == 0) | (batch == 1)):
        raise InputFileError(f"{graph.input.name}: spikes must be 0 or 1, not {batch.min()} to {batch.max()}")
    values: dict[str, IntArray] = {graph.input.name: batch.astype(np.int64)}
    for op in graph.operations:
        _execute(op, values, rank_count)
    del values[graph.input.name]
    return values


def _execute(op: Operation, values: dict[str, IntArray], k: int) -> None:
    name = op.output.name
    match op:
        case SpikingConv():
            values[name] = spiking_conv(op, values[op.input.name])
        case SpikeCues():
            cues = spike_cues(values[op.input.name])
            values.update(zip((output.name for output in op.outputs), cues, strict=True))
        case TokenScore():
            values[name] = score(op, tuple(values[cue.name] for cue in op.inputs))
        case TopKTokens():
            values[name] = top_k(values[op.input.name], k)
        case TokenGate():
            values[name] = gate(op, values[op.input.name], values[op.index.name])
        case Projection():
            index = None if op.index is None else values[op.index.name]
            values[name] = projection(op, values[op.input.name], index)
        case SparseAttention():
            mask = np.take_along_axis(values[op.score.name], values[op.index.name], axis=1)
            query, key, value = (values[part.name] for part in (op.query, op.key, op.value))
            values[name] = attention(op, query, key, value, mask)
        case TokenPool():
            values[name] = pool(op, values[op.tokens.name], values[op.attention.name])
        case _:
            raise TypeError(f"{op.node}: no meaning for {type(op).__name__}")
