"""Small random networks in the IR, with weights that make every layer lively."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.ir import (
    Graph,
    Kind,
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
from sparta_hw.numerics import FixedPoint

BIT, BYTE, CUE = FixedPoint(1, 0, False), FixedPoint(8, 3), FixedPoint(9, 3, False)
SCORE = FixedPoint(12, 4)


def random_network(
    seed: int,
    *,
    steps: int = 6,
    channels: int = 2,
    size: int = 8,
    stems: tuple[int, ...] = (5, 8),
    classes: int = 3,
    default_k: int = 5,
) -> Graph:
    """Convolutions with stride 1, the last one 2, every other one with soft reset; selection; attention."""
    rng = np.random.default_rng(seed)

    def ints(low: int, high: int, *shape: int) -> NDArray[np.int64]:
        return rng.integers(low, high + 1, shape)

    spikes = value = Value("spikes", (steps, channels, size, size), BIT, Kind.SPIKES)
    operations: list[Operation] = []
    for n, width in enumerate(stems):
        stride = 2 if n == len(stems) - 1 else 1
        soft = bool(n % 2)
        out = (value.shape[2] + stride - 1) // stride
        output = Value(f"stem.{n}", (steps, width, out, out), BIT, Kind.SPIKES)
        operations.append(
            SpikingConv(
                node=f"stem_{n}", output=output, input=value,
                weight=ints(-60, 90, width, value.shape[1], 3, 3), bias=ints(-50, 200, width), shift=1,
                stride=stride, pad=1, leak=ints(40, 255, width),
                threshold=ints(20, 120, width), soft_reset=soft, v_reset=0 if soft else -7,
                membrane=FixedPoint(16, 6),
            )
        )  # fmt: skip
        value = output
    tokens, features = value.shape[2] * value.shape[3], value.shape[1]
    cues = tuple(Value(name, (tokens,), CUE) for name in ("first", "interval", "burst", "rate"))
    score, index = (
        Value("score", (tokens,), SCORE),
        Value("index", (default_k,), FixedPoint(8, 0, False), Kind.INDEX),
    )
    gated = Value("tokens", (tokens, features), FixedPoint(8, 4, False))
    operations += [
        SpikeCues(node="cues", output=cues[0], input=value, outputs=cues),
        TokenScore(node="score", output=score, inputs=cues, tables=ints(-120, 120, 4, steps * 8 + 1)),
        TopKTokens(node="topk", output=index, input=score),
        TokenGate(node="gate", output=gated, input=value, index=index, alpha=200, beta=31, shift=1),
    ]
    heads = []
    for name in ("query", "key", "value"):
        heads.append(Value(name, (default_k, features), BYTE))
        operations.append(
            Projection(
                node=f"{name}_projection", output=heads[-1], input=gated, index=index,
                weight=ints(-90, 90, features, features), bias=ints(-900, 900, features), shift=8,
            )
        )  # fmt: skip
    attention, pooled = Value("attention", (default_k, features), BYTE), Value("pooled", (features,), BYTE)
    logits = Value("logits", (classes,), FixedPoint(32, 10))
    operations += [
        SparseAttention(
            node="attention", output=attention, query=heads[0], key=heads[1], value=heads[2], score=score,
            index=index, shift=6,
        ),
        TokenPool(
            node="pool", output=pooled, tokens=gated, attention=attention, token_shift=0, attention_shift=2,
            shift=4,
        ),
        Projection(
            node="classifier", output=logits, input=pooled, index=None,
            weight=ints(-120, 120, classes, features), bias=ints(-500, 500, classes), shift=0,
        ),
    ]  # fmt: skip
    return Graph(name=f"random-{seed}", input=spikes, operations=tuple(operations), default_k=default_k)


def random_spikes(graph: Graph, samples: int, rate: float = 0.2, seed: int = 0) -> NDArray[np.int64]:
    """Independent spikes (samples, T, C, H, W)."""
    rng = np.random.default_rng(seed)
    return (rng.random((samples, *graph.input.shape)) < rate).astype(np.int64)
