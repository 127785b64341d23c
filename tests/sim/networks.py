"""Small random networks in the IR, with weights that make every layer lively."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.ir import (
    CueScale,
    FuseScores,
    GateSource,
    GatherTokens,
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
SCORE, SUM = FixedPoint(12, 4), FixedPoint(11, 3, False)


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
    cues = (
        Value("first.0", (tokens,), CUE),
        Value("interval.0", (tokens,), CUE),
        Value("burst.0", (tokens,), CUE),
        Value("rate.0", (tokens,), CUE),
    )
    msp, temporal = Value("msp", (tokens,), SCORE), Value("temporal", (tokens,), SCORE)
    first, interval, rate = (Value(name, (tokens,), SUM) for name in ("first", "interval", "rate"))
    score = Value("score", (tokens,), SCORE)
    winners = Value("winners", (default_k,), FixedPoint(8, 0, False), Kind.INDEX)
    gated = Value("tokens", (tokens, features), FixedPoint(8, 4, False))
    selected = Value("selected", (default_k, features), gated.type)
    tables = ints(-120, 120, 2, 4, steps * 8 + 1)
    operations += [
        SpikeCues(node="cues", output=cues[0], input=value, outputs=cues),
        TokenScore(
            node="records", output=msp, outputs=(msp, temporal, first, interval, rate),
            scales=(CueScale(cues=cues, msp_tables=tables[0], temporal_tables=tables[1], cells=None),),
        ),
        FuseScores(node="score", output=score, spatial=None, msp=msp, temporal=temporal, group=None, mlp=None),
        TopKTokens(node="topk", output=winners, input=score),
        TokenGate(
            node="gate", output=gated, sources=(GateSource(spikes=value, cells=None),), index=winners,
            group=None, alpha=200, beta=31, msp=msp, timing=None, shift=1,
            gain=Value("gain", (tokens,), FixedPoint(8, 6, False)),
        ),
        GatherTokens(node="gather", output=selected, tokens=gated, index=winners),
    ]  # fmt: skip
    heads = []
    for name in ("query", "key", "value"):
        heads.append(Value(f"{name}.0", (default_k, features), BYTE))
        operations.append(
            Projection(
                node=f"{name}_projection", output=heads[-1], inputs=(selected,),
                weight=ints(-90, 90, features, features), bias=ints(-900, 900, features), shift=8,
            )
        )  # fmt: skip
    attention, pooled = Value("attention.0", (default_k, features), BYTE), Value("pooled", (features,), BYTE)
    logits = Value("logits", (classes,), FixedPoint(32, 10))
    operations += [
        SparseAttention(
            node="attention", output=attention, query=heads[0], key=heads[1], value=heads[2], msp=msp,
            temporal=temporal, index=winners, group=None, heads=1, shift=6, temperature=None,
        ),
        TokenPool(
            node="pool", output=pooled, tokens=gated, attention=attention, token_shift=0, attention_shift=2,
            shift=4,
        ),
        Projection(
            node="classifier", output=logits, inputs=(pooled,),
            weight=ints(-120, 120, classes, features), bias=ints(-500, 500, classes), shift=0,
        ),
    ]  # fmt: skip
    return Graph(name=f"random-{seed}", input=spikes, operations=tuple(operations), default_k=default_k)


def random_spikes(graph: Graph, samples: int, rate: float = 0.2, seed: int = 0) -> NDArray[np.int64]:
    """Independent spikes (samples, T, C, H, W)."""
    rng = np.random.default_rng(seed)
    return (rng.random((samples, *graph.input.shape)) < rate).astype(np.int64)
