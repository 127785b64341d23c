"""Run a graph, one operation after the other, on a batch of samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparta_hw.errors import CapacityError, InputFileError
from sparta_hw.interpreter.attention import attention, next_state, projection
from sparta_hw.interpreter.cues import records, spike_cues
from sparta_hw.interpreter.gate import gate, pool, rows, token_gain
from sparta_hw.interpreter.selection import (
    centre_surround,
    dynamic_k,
    fuse_scores,
    grouped,
    patch_group,
    rank_tokens,
    token_priority,
)
from sparta_hw.interpreter.spiking import spiking_conv
from sparta_hw.ir import (
    CentreSurround,
    DynamicK,
    FeedbackController,
    FuseScores,
    GatherTokens,
    Graph,
    Kind,
    Operation,
    PatchGroup,
    Projection,
    SparseAttention,
    SpikeCount,
    SpikeCues,
    SpikingConv,
    TokenGate,
    TokenPool,
    TokenPriority,
    TokenScore,
    TopKTokens,
    Value,
)

__all__ = ["run", "run_stream"]

IntArray = NDArray[np.int64]
Tensor = NDArray[Any]
"""Integers: uint8 of spikes, int32 or int64 of others."""


def run(
    graph: Graph, inputs: NDArray[Any], k: int | None = None, state: IntArray | None = None
) -> dict[str, Tensor]:
    """All layer results of a batch.

    Parameters
    ----------
    graph : Graph
        The network.
    inputs : int array (n, T, C, H, W), or (n, C, H, W) for direct coding
        Zeros and ones, or pixels 0 to 255.
    k : int, optional
        Tokens that attend, 1 to N, or 0 for each sample's own; the network's default K if not given.
    state : int array (n,), optional
        State of the feedback controller before each sample; zeros if not given.

    Returns
    -------
    dict of str to int array
        Integers of each tensor by name, the batch dimension first: (n, *shape of the value); uint8 of spikes, int32
        or int64 of others. Tensors over ranks have as many as the largest K of the batch. ``k`` (n,) is the K of
        each sample.

    Raises
    ------
    InputFileError
        ``inputs`` has another shape, or a value that does not belong there.
    CapacityError
        ``k`` is not in 1 to N, or is 0 and the network does not choose K.
    """
    request = _checked_k(graph, k)
    batch = _checked_input(graph, inputs)
    execution = _Execution(graph, batch, request, np.zeros(len(batch), np.int64) if state is None else state)
    for op in graph.operations:
        execution.execute(op)
    return execution.results()


def run_stream(graph: Graph, inputs: NDArray[Any], k: int | None = None) -> dict[str, Tensor]:
    """As :func:`run`, but each sample starts from the feedback state that the one before it left, the first from 0.

    Tensors over ranks have as many as the largest K of the stream; the rows beyond a sample's own are zero.
    """
    if not graph.feedback:
        return run(graph, inputs, k)
    state = np.zeros(1, np.int64)
    parts: list[dict[str, Tensor]] = []
    for sample in inputs:
        parts.append(run(graph, sample[None], k, state))
        state = parts[-1]["next_state"].reshape(1)
    return {name: _stacked([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def _stacked(rows: list[Tensor]) -> Tensor:
    shape = tuple(int(n) for n in np.max([row.shape[1:] for row in rows], axis=0))
    stacked = np.zeros((len(rows), *shape), np.result_type(*rows))
    for n, row in enumerate(rows):
        own = tuple(slice(size) for size in row.shape[1:])
        stacked[n : n + 1][(slice(None), *own)] = row
    return stacked


def _checked_k(graph: Graph, k: int | None) -> int:
    request = graph.default_k if k is None else k
    if request == 0 and (graph.dynamic or not graph.tokens):
        return 0
    if not graph.tokens:
        raise CapacityError(f"{graph.name}: K is {request}, the network has no tokens: use 0")
    if not 1 <= request <= graph.tokens:
        also = ", or 0 for each sample's own" if graph.dynamic else ""
        raise CapacityError(
            f"{graph.name}: K is {request}, the network has {graph.tokens} tokens: use 1 to that{also}"
        )
    return request


def _checked_input(graph: Graph, inputs: NDArray[Any]) -> NDArray[np.uint8]:
    batch = np.asarray(inputs)
    name = graph.input.name
    if batch.shape[1:] != graph.input.shape:
        expected = "x".join(map(str, graph.input.shape))
        raise InputFileError(f"{name}: the input has shape {batch.shape}, not (n, {expected})")
    top = 1 if graph.input.kind is Kind.SPIKES else graph.input.type.max
    whole = np.issubdtype(batch.dtype, np.integer) or np.array_equal(batch, np.floor(batch))
    if batch.size and not (whole and batch.min() >= 0 and batch.max() <= top):
        allowed = "0 or 1" if top == 1 else f"integers 0 to {top}"
        raise InputFileError(f"{name}: values must be {allowed}, not {batch.min()} to {batch.max()}")
    return batch.astype(np.uint8, copy=False)


class _Execution:
    """Values of a batch so far; ``k`` (n,) and the feedback ``state`` (n,) are those of each sample."""

    def __init__(self, graph: Graph, batch: Tensor, request: int, state: IntArray) -> None:
        self._graph = graph
        self._values: dict[str, Tensor] = {graph.input.name: batch}
        self._request = request
        self._state = state
        self._k = np.full(len(batch), request)

    def results(self) -> dict[str, Tensor]:
        """Everything but the input."""
        return {**{n: v for n, v in self._values.items() if n != self._graph.input.name}, "k": self._k}

    def _get(self, *values: Value) -> list[Tensor]:
        return [self._values[value.name] for value in values]

    def _optional(self, value: Value | None) -> Tensor | None:
        return None if value is None else self._values[value.name]

    def execute(self, op: Operation) -> None:
        """Add the results of one operation."""
        values, name = self._values, op.output.name
        match op:
            case SpikingConv():
                values[name] = spiking_conv(op, values[op.input.name], self._state)
            case SpikeCount():
                values[name] = values[op.input.name].sum(axis=(1, 3, 4), dtype=np.int64)
            case SpikeCues():
                self._store(op.outputs, spike_cues(values[op.input.name]))
            case TokenScore():
                self._store(op.outputs, records(op, values))
            case PatchGroup():
                values[name] = patch_group(values[op.rate.name], op.output.shape[0])
            case CentreSurround():
                values[name] = centre_surround(op, values[op.rate.name], self._optional(op.group))
            case FuseScores():
                msp, temporal = self._grouped(op.group, op.msp, op.temporal)
                values[name] = fuse_scores(op, self._optional(op.spatial), msp, temporal)
            case DynamicK():
                values[name] = dynamic_k(op, *self._grouped(op.group, op.first, op.interval, op.rate))
                if self._request == 0:
                    self._k = values[name][:, 0]
            case TopKTokens():
                values[name] = rank_tokens(values[op.input.name])[:, : self._k.max(initial=1)]
            case TokenGate():
                winners, (msp,) = values[op.index.name], self._grouped(op.group, op.msp)
                values[op.gain.name] = gain = token_gain(op, winners, self._k, msp)
                values[name] = gate(op, values, gain, self._optional(op.group))
            case TokenPriority():
                first, interval, rate = self._grouped(op.group, op.first, op.interval, op.rate)
                values[name] = token_priority(op, first, interval, rate, values[op.gain.name])
            case GatherTokens():
                tokens, index = self._get(op.tokens, op.index)
                values[name] = rows(tokens, index)
            case Projection():
                values[name] = projection(op, tuple(self._get(*op.inputs)))
            case SparseAttention():
                qkv = tuple(self._get(op.query, op.key, op.value))
                index = values[op.index.name]
                msp, temporal = (
                    np.take_along_axis(part, index, axis=1)
                    for part in self._grouped(op.group, op.msp, op.temporal)
                )
                values[name] = attention(op, qkv, msp, temporal, self._k)
            case TokenPool():
                values[name] = pool(op, *self._get(op.tokens, op.attention))
            case FeedbackController():
                attended = tuple(self._get(*op.attention))
                values[name] = next_state(op, attended, self._state)
            case _:
                raise TypeError(f"{op.node}: no meaning for {type(op).__name__}")

    def _store(self, outputs: tuple[Value, ...], results: tuple[IntArray, ...] | list[IntArray]) -> None:
        self._values.update(zip((output.name for output in outputs), results, strict=True))

    def _grouped(self, group: Value | None, *grid: Value) -> list[Tensor]:
        return [grouped(part, self._optional(group)) for part in self._get(*grid)]
