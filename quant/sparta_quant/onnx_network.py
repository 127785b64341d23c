"""A deployed network as the nodes of docs/dialect.md, in the order of its tensors."""

import numpy as np
from numpy.typing import NDArray

from sparta_hw.config import CoreConfig
from sparta_hw.numerics import FixedPoint
from sparta_quant.config import CUES, SpartaConfig
from sparta_quant.integers import MlpIntegers, NetworkIntegers, WeightIntegers
from sparta_quant.onnx_nodes import Nodes
from sparta_quant.onnx_spiking import spiking_nodes
from sparta_quant.sten import cell_index
from sparta_quant.token_mlp import mlp_shifts

__all__ = ["network_nodes"]

_RECORD = ("msp", "temporal", "first", "interval", "rate")
_SCORES = ("msp", "temporal")
_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)


def network_nodes(integers: NetworkIntegers) -> Nodes:
    """Nodes and initializers of the whole network."""
    return _NetworkNodes(integers).build()


class _NetworkNodes:
    """One method for each part; methods that make a value answer with its name."""

    def __init__(self, integers: NetworkIntegers) -> None:
        self.integers = integers
        self.config: SpartaConfig = integers.config
        self.graph = Nodes()
        self.k = "k"
        self.group = "group"
        self.record = dict.fromkeys(_RECORD, "")

    def build(self) -> Nodes:
        config, graph = self.config, self.graph
        if config.readout == "counts":
            self._counts(*spiking_nodes(graph, self.integers))
            return graph
        graph.constant("k", np.array([config.default_k], np.int64))
        if config.feedback:
            graph.constant("state", np.array([0], np.int64))
        scales = spiking_nodes(graph, self.integers)
        self._records(scales)
        self._group()
        self._score()
        self._select()
        self._tokens(scales)
        index = self._index()
        attention = self._attend(index)
        self._pool(attention[-1])
        assert self.integers.classifier is not None
        graph.linear("classifier", "pooled", self.integers.classifier, config.pooled_frac, "logits")
        self._feedback(attention)
        return graph

    def _counts(self, spikes: str) -> None:
        """Spikes of each neuron of the last layer, summed over time and its one position."""
        axes = self.graph.axes("counts.axes", 0, 3, 4)
        self.graph.node("ReduceSum", "counts", [spikes, axes], ["logits"], keepdims=0)

    def _records(self, scales: list[str]) -> None:
        """Cues of each scale, then scores and cues of the grid tokens, summed over the scales."""
        graph = self.graph
        parts: dict[str, list[str]] = {name: [] for name in _RECORD}
        for n, (scale, tables) in enumerate(zip(scales, self.integers.scores, strict=True)):
            cues = [f"{cue}.{n}" for cue in CUES]
            graph.sparta("SpikeCues", f"cues.{n}", [scale], cues, frac=CoreConfig.cue_frac)
            operands = [
                graph.real(f"msp.{n}.msp_tables", tables.msp, CoreConfig.score_frac),
                graph.real(f"msp.{n}.temporal_tables", tables.temporal, CoreConfig.score_frac),
                graph.constant(f"msp.{n}.cells", self._cells(n)),
            ]
            whole = len(scales) == 1
            results = [name if whole and name not in _SCORES else f"msp.{n}.{name}" for name in _RECORD]
            graph.sparta("MSP", f"msp.{n}", [*cues, *operands], results, frac=CoreConfig.cue_frac)
            for name, result in zip(_RECORD, results, strict=True):
                parts[name].append(result)
        for name, values in parts.items():
            self._sum(name, values)

    def _cells(self, scale: int) -> NDArray[np.int64]:
        """Position of each grid token in a scale."""
        config = self.config
        pooled = config.branches is not None and scale == len(config.scale_channels) - 1
        return cell_index(config).numpy() if pooled else np.arange(config.grid_tokens)

    def _sum(self, name: str, values: list[str]) -> None:
        """One value of the record from those of all scales."""
        total, clipped = values[0], name in _SCORES
        for n, value in enumerate(values[1:], start=1):
            result = f"{name}.sum.{n}" if clipped or n < len(values) - 1 else name
            self.graph.node("Add", f"{name}.add.{n}", [total, value], [result])
            total = result
        if clipped:
            limits = [
                self.graph.real(f"{name}.{bound}", limit, _SCORE.frac)
                for bound, limit in (("lowest", _SCORE.min), ("highest", _SCORE.max))
            ]
            self.graph.node("Clip", f"{name}.clip", [total, *limits], [name])

    def _group(self) -> None:
        """The group list, and the record of tokens."""
        config, graph = self.config, self.graph
        if config.groups is None:
            self.group = graph.constant("group.all", np.arange(config.tokens)[None])
            self.record = {name: name for name in _RECORD}
            return
        graph.sparta("PatchGroup", "group", ["rate"], ["group"], tokens=config.groups)
        for name in _RECORD:
            self.record[name] = f"{name}.grouped"
            graph.node("GatherElements", f"{name}.grouping", [name, "group"], [f"{name}.grouped"], axis=1)

    def _score(self) -> None:
        """The score that STSG ranks by."""
        integers, graph, msp = self.integers, self.graph, self.record["msp"]
        if integers.fusion is None:
            graph.node("Identity", "score", [msp], ["score"])
            return
        if integers.inhibition is None:
            spatial = "fusion.no_spatial"
            graph.node("Mul", spatial, [msp, graph.constant("fusion.zero", np.float32(0))], [spatial])
        else:
            height, width = self.config.grid
            spatial = "spatial"
            attributes = {"height": height, "width": width, "inhibition": integers.inhibition}
            graph.sparta("CentreSurround", spatial, ["rate", self.group], [spatial], **attributes)
        scores = [spatial, msp, self.record["temporal"]]
        fracs = (CoreConfig.cue_frac, CoreConfig.score_frac, CoreConfig.score_frac)
        self._token_mlp("fusion", integers.fusion, scores, fracs, "score")

    def _token_mlp(
        self, name: str, mlp: MlpIntegers, inputs: list[str], fracs: tuple[int, int, int], output: str
    ) -> None:
        """A token MLP with a score as its result; it multiplies the integers of its inputs."""
        hidden_shift, shift = mlp_shifts(mlp, fracs[-1], CoreConfig.score_frac)
        self.graph.sparta(
            "TokenMLP",
            name,
            [*inputs, *self._mlp(name, mlp)],
            [output],
            fracs=list(fracs),
            hidden_shift=hidden_shift,
            shift=shift,
            frac=CoreConfig.score_frac,
        )

    def _mlp(self, name: str, mlp: MlpIntegers) -> list[str]:
        """The four constants of a token MLP."""
        parts = {
            "hidden_weight": mlp.hidden.weight.astype(np.int8),
            "hidden_bias": _bias(mlp.hidden),
            "weight": mlp.output.weight[0].astype(np.int8),
            "bias": _bias(mlp.output),
        }
        return [self.graph.constant(f"{name}.{part}", values) for part, values in parts.items()]

    def _select(self) -> None:
        """K, winners and gains."""
        integers, graph, record = self.integers, self.graph, self.record
        if integers.sparsity is not None and integers.k_table is not None:
            hidden_shift, shift = mlp_shifts(integers.sparsity, CoreConfig.cue_frac, CoreConfig.sparsity_frac)
            cues = [record[name] for name in ("first", "interval", "rate")]
            table = graph.constant("dynamic_k.table", integers.k_table.astype(np.int64))
            graph.sparta(
                "DynamicK",
                "dynamic_k",
                [*cues, "k", *self._mlp("dynamic_k", integers.sparsity), table],
                ["dynamic_k", "dynamic_k.used"],
                frac=CoreConfig.cue_frac,
                hidden_shift=hidden_shift,
                shift=shift,
            )
            self.k = "dynamic_k.used"
        graph.sparta("TopKTokens", "topk", ["score", self.k], ["winners"])
        assert integers.gate is not None
        factors = [
            graph.real("gain.alpha", integers.gate.alpha, CoreConfig.gain_frac),
            graph.real("gain.beta", integers.gate.beta, CoreConfig.gain_frac),
            self._curve("gain.timing", integers.timing),
        ]
        graph.sparta("TokenGain", "gain", ["winners", self.k, record["msp"], *factors], ["gain"])

    def _curve(self, name: str, table: NDArray[np.int64] | None) -> str:
        """A table over scores, or the factor 1."""
        one = 1 << CoreConfig.gain_frac
        return self.graph.real(name, np.array([one]) if table is None else table, CoreConfig.gain_frac)

    def _tokens(self, scales: list[str]) -> None:
        """Gated features of every scale, one behind the other."""
        config, graph = self.config, self.graph
        parts = []
        for n, scale in enumerate(scales):
            name, result = (f"gate.{n}", f"tokens.{n}") if len(scales) > 1 else ("gate", "tokens")
            cells = graph.constant(f"{name}.cells", self._cells(n))
            graph.sparta(
                "TokenGate",
                name,
                [scale, cells, "gain", self.group],
                [result],
                frac=config.token_frac,
                bits=config.token.bits,
                signed=int(config.token.signed),
            )
            parts.append(result)
        if len(parts) > 1:
            graph.node("Concat", "tokens", parts, ["tokens"], axis=2)

    def _index(self) -> str:
        """The ranking that attends, and its tokens."""
        integers, graph, index = self.integers, self.graph, "winners"
        if integers.priority is not None:
            index, frac = "index", CoreConfig.cue_frac
            graph.sparta("GatedRate", "priority.rate", [self.record["rate"], "gain"], ["priority.rate"])
            cues = [self.record["first"], self.record["interval"], "priority.rate"]
            self._token_mlp("priority", integers.priority, cues, (frac, frac, frac), "priority")
            graph.sparta("TopKTokens", "index", ["priority", self.k], [index])
        graph.sparta("GatherTokens", "gather", ["tokens", index], ["selected"])
        return index

    def _attend(self, index: str) -> list[str]:
        """Attention layers; answers with the attention of each."""
        config, graph, record = self.config, self.graph, self.record
        x, frac = "selected", config.token_frac
        temperature = self._curve("attention.temperature", self.integers.temperature)
        results = []
        for n, layer in enumerate(self.integers.attention):
            projections = {
                f"query.{n}": (layer.query, config.query),
                f"key.{n}": (layer.key, config.key),
                f"value.{n}": (layer.value, config.value),
            }
            for name, (weights, fmt) in projections.items():
                graph.quant(f"{name}.quant", graph.linear(name, x, weights, frac, f"{name}.sum"), name, fmt)
            attention = f"attention.{n}"
            graph.sparta(
                "SparseAttention",
                attention,
                [*projections, record["msp"], record["temporal"], index, self.k, temperature],
                [attention],
                heads=config.heads,
                frac_query=config.query_frac,
                frac_key=config.key_frac,
                frac_value=config.value_frac,
                score_frac=CoreConfig.score_frac,
            )
            results.append(attention)
            if layer.hidden is not None:
                name = f"hidden.{n}"
                graph.node("Concat", f"{name}.input", [x, attention], [f"{name}.input"], axis=2)
                total = graph.linear(name, f"{name}.input", layer.hidden, frac, f"{name}.sum")
                x, frac = graph.quant(f"{name}.quant", total, name, config.hidden), config.hidden_frac
        return results

    def _pool(self, attention: str) -> None:
        graph, axis = self.graph, self.graph.axes("pool.axis", 1)
        graph.node("ReduceSum", "pool.tokens", ["tokens", axis], ["pool.tokens.sum"], keepdims=0)
        graph.node("ReduceSum", "pool.attention", [attention, axis], ["pool.attention.sum"], keepdims=0)
        graph.node("Add", "pool", ["pool.tokens.sum", "pool.attention.sum"], ["pool.sum"])
        graph.quant("pool.quant", "pool.sum", "pooled", self.config.pooled)

    def _feedback(self, attention: list[str]) -> None:
        law, integers, activity = self.config.feedback, self.integers.feedback, attention[0]
        if law is None or integers is None:
            return
        if len(attention) > 1:
            activity = "feedback.input"
            self.graph.node("Concat", activity, attention, [activity], axis=2)
        self.graph.sparta(
            "Feedback",
            "feedback",
            ["state", activity],
            ["next_state"],
            frac=self.config.value_frac,
            activity_shift=integers.activity_shift,
            rate_shift=law.rate_shift,
            target=integers.target,
        )


def _bias(weights: WeightIntegers) -> NDArray[np.int32]:
    assert weights.bias is not None
    return weights.bias.astype(np.int32)
