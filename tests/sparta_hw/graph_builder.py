"""Graphs of SPARTA networks out of a list of their parts, with random numbers."""

from dataclasses import dataclass

import numpy as np

from sparta_hw.config import CoreConfig
from sparta_hw.ir import (
    CentreSurround,
    CueScale,
    DynamicK,
    FeedbackController,
    FuseScores,
    GateSource,
    GatherTokens,
    Graph,
    IntArray,
    Kind,
    Operation,
    PatchGroup,
    Projection,
    SparseAttention,
    SpikeCues,
    SpikingConv,
    ThresholdFeedback,
    TokenGate,
    TokenMLP,
    TokenPool,
    TokenPriority,
    TokenScore,
    TopKTokens,
    Value,
)
from sparta_hw.numerics import FixedPoint, unsigned_bits

__all__ = ["GraphBuilder", "Parts"]

_BIT = FixedPoint(1, 0, signed=False)
_CUE = FixedPoint(CoreConfig.cue_bits, CoreConfig.cue_frac, signed=False)
_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_RATE = FixedPoint(CoreConfig.score_bits, CoreConfig.cue_frac)
_GAIN = FixedPoint(CoreConfig.gain_bits, CoreConfig.gain_frac, signed=False)
_STATE = FixedPoint(CoreConfig.state_bits, CoreConfig.state_frac)
_CUES = ("first", "interval", "burst", "rate")
_S8 = FixedPoint(8, 4)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a network has.

    ``coding`` is "spikes" or "direct"; ``image`` (C, H, W) is the input, ``stem`` has channels, kernel, stride and pad
    of each layer, ``size`` is the side of the square grid that they end in. ``features`` is D without branches,
    ``widths`` and ``cells`` (a side) are those of the branches. ``tokens`` is N with patch grouping, None without;
    ``default_k`` 0 is each sample's own K, None a random one.
    """

    coding: str
    steps: int
    size: int
    image: tuple[int, int, int]
    stem: tuple[tuple[int, int, int, int], ...]
    branches: bool
    features: int
    widths: tuple[int, int, int]
    cells: int
    tokens: int | None
    fusion: bool
    spatial: bool
    dynamic_k: bool
    timing: bool
    priority: bool
    temperature: bool
    heads: int
    layers: int
    feedback: bool
    bias: bool
    classes: int
    default_k: int | None


class GraphBuilder:
    """One method a part, in execution order."""

    def __init__(self, rng: np.random.Generator, parts: Parts, name: str) -> None:
        self.rng, self.parts, self.name = rng, parts, name
        self.operations: list[Operation] = []
        self.grid = parts.size**2
        self.tokens = parts.tokens or self.grid
        k = parts.default_k
        if k is None:
            k = 0 if parts.dynamic_k and rng.integers(2) else int(rng.integers(1, self.tokens + 1))
        self.default_k = k
        self.ranks = k or self.tokens
        self.index_type = FixedPoint(unsigned_bits(self.tokens - 1), 0, signed=False)
        self.token = FixedPoint(8, 4, signed=parts.layers > 1)

    def build(self) -> Graph:
        source, scales = self._spiking()
        self._records(scales)
        self._select()
        x = self._tokens(scales)
        attention = self._attend(x)
        self._classify(attention[-1])
        if self.parts.feedback:
            activity_shift, target = (int(self.rng.integers(0, high)) for high in (6, 400))
            self._add(
                FeedbackController(
                    node="feedback",
                    output=Value("next_state", (1,), _STATE),
                    attention=tuple(attention),
                    activity_shift=activity_shift,
                    rate_shift=int(self.rng.integers(0, 4)),
                    target=target,
                )
            )
        return Graph(
            name=self.name, input=source, operations=tuple(self.operations), default_k=self.default_k
        )

    def _add(self, op: Operation) -> Value:
        self.operations.append(op)
        return op.output

    # Spikes.

    def _spiking(self) -> tuple[Value, list[tuple[Value, IntArray | None]]]:
        """The input, and the spikes of each scale with its cells."""
        parts, size = self.parts, self.parts.size
        direct = parts.coding == "direct"
        source = Value(
            "pixels" if direct else "spikes",
            parts.image if direct else (parts.steps, *parts.image),
            FixedPoint(8, 0, signed=False) if direct else _BIT,
            Kind.INTEGERS if direct else Kind.SPIKES,
        )
        value = source
        for n, layer in enumerate(parts.stem):
            value = self._conv(f"stem.{n}", value, *layer)
        if not parts.branches:
            return source, [(self._conv(f"stem.{len(parts.stem)}", value, parts.features, 1, 1, 0), None)]
        cell = size // parts.cells
        rows = np.arange(size) // cell
        cells = (rows[:, None] * parts.cells + rows).reshape(-1)
        fine, local, context = parts.widths
        return source, [
            (self._conv("fine", value, fine, 1, 1, 0), None),
            (self._conv("local", value, local, 3, 1, 1), None),
            (self._conv("context", value, context, cell, cell, 0), cells),
        ]

    def _conv(self, name: str, source: Value, outputs: int, kernel: int, stride: int, pad: int) -> Value:
        """A layer whose membranes come near their thresholds."""
        rng, (channels, height, width) = self.rng, source.shape[-3:]
        direct = source.kind is Kind.INTEGERS
        weight = np.rint(rng.normal(20, 45, (outputs, channels, kernel, kernel))).clip(-128, 127)
        most = weight[0].size * 25 * (255 if direct else 1)
        shift = max(0, most.bit_length() - int(rng.integers(8, 12)))
        grid = tuple((side + 2 * pad - kernel) // stride + 1 for side in (height, width))
        usual = weight.sum(axis=(1, 2, 3)) * (0.5 * 255 if direct else 0.4) / 2**shift
        threshold = usual * rng.uniform(0.2, 0.9, outputs)
        soft = bool(rng.integers(2))
        feedback = ThresholdFeedback(gain=int(rng.integers(1, 256)), limit=int(rng.choice([3, 50, 4095])))
        return self._add(
            SpikingConv(
                node=f"{name}.conv",
                output=Value(name, (self.parts.steps, outputs, *grid), _BIT, Kind.SPIKES),
                input=source,
                weight=weight.astype(np.int64),
                bias=rng.integers(-60, 61, outputs),
                shift=shift,
                stride=stride,
                pad=pad,
                leak=rng.integers(60, 256, outputs),
                threshold=np.maximum(threshold, 1).astype(np.int64),
                soft_reset=soft,
                v_reset=0 if soft else int(rng.integers(-20, 9)),
                membrane=FixedPoint(CoreConfig.membrane_bits, 8),
                feedback=feedback if self.parts.feedback else None,
            )
        )

    # Records, selection.

    def _records(self, scales: list[tuple[Value, IntArray | None]]) -> None:
        parts = []
        cues_of = []
        for n, (spikes, _) in enumerate(scales):
            positions = spikes.shape[2] * spikes.shape[3]
            first, interval, burst, rate = (Value(f"{cue}.{n}", (positions,), _CUE) for cue in _CUES)
            cues = (first, interval, burst, rate)
            self._add(SpikeCues(node=f"cues.{n}", output=first, input=spikes, outputs=cues))
            cues_of.append(cues)
        for cues, (_, cells) in zip(cues_of, scales, strict=True):
            parts.append(
                CueScale(cues=cues, msp_tables=self._table(), temporal_tables=self._table(), cells=cells)
            )
        names = (("msp", _SCORE), ("temporal", _SCORE), ("first", _CUE), ("interval", _CUE), ("rate", _CUE))
        msp, temporal, first, interval, rate = (Value(name, (self.grid,), fmt) for name, fmt in names)
        self.record = {"msp": msp, "temporal": temporal, "first": first, "interval": interval, "rate": rate}
        outputs = (msp, temporal, first, interval, rate)
        self._add(TokenScore(node="msp", output=msp, scales=tuple(parts), outputs=outputs))
        self.group: Value | None = None
        if self.parts.tokens is not None:
            number = FixedPoint(unsigned_bits(self.grid - 1), 0, signed=False)
            value = Value("group", (self.tokens,), number, Kind.INDEX)
            self.group = self._add(PatchGroup(node="group", output=value, rate=rate))

    def _table(self) -> IntArray:
        """Smooth and coarse, so that equal scores occur, or with entries of the whole range, so that sums saturate."""
        rng, entries = self.rng, self.parts.steps * 8 + 1
        if rng.random() < 0.2:
            return rng.integers(-1024, 1024, (4, entries))
        slopes = rng.uniform(-3, 3, (4, 1)) * np.arange(entries)
        return (slopes + rng.integers(-8, 9, (4, entries))).astype(np.int64) & -4

    def _mlp(self, hidden_shift: int) -> TokenMLP:
        rng = self.rng
        largest = int(rng.choice([200, 20_000]))
        return TokenMLP(
            hidden_weight=np.rint(rng.normal(0, 50, (8, 3))).clip(-128, 127).astype(np.int64),
            hidden_bias=rng.integers(-largest, largest, 8),
            hidden_shift=hidden_shift,
            weight=np.rint(rng.normal(0, 50, 8)).clip(-128, 127).astype(np.int64),
            bias=int(rng.integers(-largest, largest)),
            shift=int(rng.integers(5, 10)),
        )

    def _select(self) -> None:
        rng, parts, record, n = self.rng, self.parts, self.record, (self.tokens,)
        spatial = None
        if parts.fusion and parts.spatial:
            spatial = self._add(
                CentreSurround(
                    node="spatial",
                    output=Value("spatial", n, _RATE),
                    rate=record["rate"],
                    group=self.group,
                    height=parts.size,
                    width=parts.size,
                    inhibition=int(rng.integers(0, 128)),
                )
            )
        score = self._add(
            FuseScores(
                node="score",
                output=Value("score", n, _SCORE),
                spatial=spatial,
                msp=record["msp"],
                temporal=record["temporal"],
                group=self.group,
                mlp=self._mlp(int(rng.integers(3, 8))) if parts.fusion else None,
            )
        )
        if parts.dynamic_k:
            lowest = int(rng.integers(1, self.tokens + 1, 3).min())
            self._add(
                DynamicK(
                    node="dynamic_k",
                    output=Value("dynamic_k", (1,), FixedPoint(unsigned_bits(self.tokens), 0, signed=False)),
                    first=record["first"],
                    interval=record["interval"],
                    rate=record["rate"],
                    group=self.group,
                    mlp=self._mlp(int(rng.integers(0, 5))),
                    table=rng.integers(lowest, self.tokens + 1, 256),
                )
            )
        self.winners = self._top_k("topk", score, "winners")

    def _top_k(self, node: str, score: Value, name: str) -> Value:
        index = Value(name, (self.ranks,), self.index_type, Kind.INDEX)
        return self._add(TopKTokens(node=node, output=index, input=score))

    # Tokens, attention.

    def _tokens(self, scales: list[tuple[Value, IntArray | None]]) -> Value:
        rng, parts, record = self.rng, self.parts, self.record
        self.features = sum(spikes.shape[1] for spikes, _ in scales)
        gain = Value("gain", (self.tokens,), _GAIN)
        self.gated = self._add(
            TokenGate(
                node="gate",
                output=Value("tokens", (self.tokens, self.features), self.token),
                sources=tuple(GateSource(spikes=spikes, cells=cells) for spikes, cells in scales),
                index=self.winners,
                group=self.group,
                alpha=int(rng.integers(32, 256)),
                beta=int(rng.integers(0, 64)),
                msp=record["msp"],
                timing=rng.integers(0, 256, 128) if parts.timing else None,
                shift=int(rng.integers(0, 5)),
                gain=gain,
            )
        )
        index = self.winners
        if parts.priority:
            priority = TokenPriority(
                node="priority",
                output=Value("priority", (self.tokens,), _SCORE),
                first=record["first"],
                interval=record["interval"],
                rate=record["rate"],
                gain=gain,
                group=self.group,
                mlp=self._mlp(int(rng.integers(0, 5))),
            )
            index = self._top_k("index", self._add(priority), "index")
        self.index = index
        selected = Value("selected", (self.ranks, self.features), self.token)
        return self._add(GatherTokens(node="gather", output=selected, tokens=self.gated, index=index))

    def _linear(self, node: str, inputs: tuple[Value, ...], output: Value) -> Value:
        rng, logits = self.rng, len(output.shape) == 1
        shape = (output.shape[-1], inputs[0].shape[-1] * len(inputs))
        return self._add(
            Projection(
                node=node,
                output=output,
                inputs=inputs,
                weight=np.rint(rng.normal(0, 50, shape)).clip(-128, 127).astype(np.int64),
                bias=rng.integers(-300, 301, shape[0]) * int(self.parts.bias),
                shift=0 if logits else int(rng.integers(5, 9)),
            )
        )

    def _attend(self, x: Value) -> list[Value]:
        rng, parts, results = self.rng, self.parts, []
        shape = (self.ranks, self.features)
        temperature = rng.integers(0, 256, 128) if parts.temperature else None
        for n in range(parts.layers):
            query, key, value = (
                self._linear(f"{name}.{n}", (x,), Value(f"{name}.{n}", shape, _S8))
                for name in ("query", "key", "value")
            )
            attention = self._add(
                SparseAttention(
                    node=f"attention.{n}",
                    output=Value(f"attention.{n}", shape, _S8),
                    query=query,
                    key=key,
                    value=value,
                    msp=self.record["msp"],
                    temporal=self.record["temporal"],
                    index=self.index,
                    group=self.group,
                    heads=parts.heads,
                    shift=int(rng.integers(0, 8)),
                    temperature=temperature,
                )
            )
            results.append(attention)
            if n < parts.layers - 1:
                x = self._linear(f"hidden.{n}", (x, attention), Value(f"hidden.{n}", shape, _S8))
        return results

    def _classify(self, attention: Value) -> None:
        rng, pooled = self.rng, Value("pooled", (self.features,), _S8)
        token_shift, attention_shift = (int(rng.integers(0, 3)) for _ in range(2))
        self._add(
            TokenPool(
                node="pool",
                output=pooled,
                tokens=self.gated,
                attention=attention,
                token_shift=token_shift,
                attention_shift=attention_shift,
                shift=int(rng.integers(2, 6)),
            )
        )
        self._linear("classifier", (pooled,), Value("logits", (self.parts.classes,), FixedPoint(32, 8)))
