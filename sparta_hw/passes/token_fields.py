"""Descriptor fields of the token units: SCORE, RANK, GATE, GATHER, ATTEND, POOL, FEEDBACK."""

from collections.abc import Iterator

from sparta_hw.descriptor import RankBy
from sparta_hw.ir import (
    CentreSurround,
    DynamicK,
    FeedbackController,
    FuseScores,
    GatherTokens,
    Graph,
    Operation,
    PatchGroup,
    SparseAttention,
    SpikeCues,
    TokenGate,
    TokenMLP,
    TokenPool,
    TokenPriority,
    TokenScore,
    TopKTokens,
    Value,
)
from sparta_hw.passes.layer_fields import cue_bases
from sparta_hw.passes.plan import Plan
from sparta_hw.tensor_layout import Memory

__all__ = ["token_fields"]


def token_fields(op: Operation, plan: Plan) -> Iterator[dict[str, int]]:
    """Fields of each descriptor that an operation becomes; nothing for one that is part of a later one."""
    layouts, config = plan.layouts, plan.config
    match op:
        case TokenScore():
            yield _score(op, plan)
        case PatchGroup():
            yield {"by": RankBy.RATE, "tokens": plan.graph.grid_tokens, "groups": plan.graph.tokens}
        case TopKTokens():
            yield _rank(op, plan.graph)
        case TokenGate():
            yield from _gate(op, plan)
        case GatherTokens():
            source, result = layouts[op.tokens.name], layouts[op.output.name]
            lines = source.pitch // config.line * source.groups
            yield {"lines": lines, "in_base": source.base, "out_base": result.base}
        case SparseAttention():
            yield _attend(op, plan)
        case TokenPool():
            result = layouts[op.output.name]
            yield {"chunks": result.pitch // config.line, "shift": op.shift, "out_base": result.base}
        case FeedbackController():
            yield {"activity_shift": op.activity_shift, "rate_shift": op.rate_shift, "target": op.target}


def _producer(graph: Graph, value: Value) -> Operation:
    return next(op for op in graph.operations if value in getattr(op, "outputs", (op.output,)))


def _grid(graph: Graph) -> tuple[int, int]:
    """Height and width of the token grid: that of the first scale."""
    score = next(op for op in graph.operations if isinstance(op, TokenScore))
    cues = _producer(graph, score.scales[0].cues[0])
    assert isinstance(cues, SpikeCues)
    return cues.input.shape[2], cues.input.shape[3]


def _score(op: TokenScore, plan: Plan) -> dict[str, int]:
    height, width = _grid(plan.graph)
    bases = cue_bases(plan)
    fields = {"tokens": height * width, "width": width, "scales": len(op.scales)}
    for n, scale in enumerate(op.scales):
        cues = _producer(plan.graph, scale.cues[0])
        assert isinstance(cues, SpikeCues)
        fields[f"cue_base{n}"] = bases[cues.input.name]
        if scale.cells is not None:
            *_, rows, columns = cues.input.shape
            fields |= {
                "pooled": 1,
                "cell_height": height // rows,
                "cell_width": width // columns,
                "cell_columns": columns,
            }
    return fields


def _mlp(mlp: TokenMLP, prefix: str = "") -> dict[str, int]:
    return {
        f"{prefix}hidden_shift": mlp.hidden_shift,
        f"{prefix}shift": mlp.shift,
        f"{prefix}bias": mlp.bias,
    }


def _rank(op: TopKTokens, graph: Graph) -> dict[str, int]:
    source = _producer(graph, op.input)
    fields = {"tokens": graph.tokens, "width": _grid(graph)[1]}
    fields["temperature"] = int(
        any(isinstance(o, SparseAttention) and o.temperature is not None for o in graph.operations)
    )
    if isinstance(source, TokenPriority):
        return fields | _mlp(source.mlp) | {"by": RankBy.PRIORITY, "grouped": int(source.group is not None)}
    assert isinstance(source, FuseScores)
    fields |= {"by": RankBy.MSP, "grouped": int(source.group is not None)}
    if source.mlp is not None:
        fields |= _mlp(source.mlp) | {"by": RankBy.FUSION}
    if source.spatial is not None:
        spatial = _producer(graph, source.spatial)
        assert isinstance(spatial, CentreSurround)
        fields |= {"spatial": 1, "inhibition": spatial.inhibition}
    for other in graph.operations:
        if isinstance(other, DynamicK):
            fields |= _mlp(other.mlp, "sparsity_") | {"dynamic": 1}
    return fields


def _gate(op: TokenGate, plan: Plan) -> Iterator[dict[str, int]]:
    result, line = plan.layouts[op.output.name], plan.config.line
    pool = next(other for other in plan.graph.operations if isinstance(other, TokenPool))
    feature = 0
    for source in op.sources:
        place = plan.layouts[source.spikes.name]
        yield {
            "tokens": plan.graph.tokens,
            "chunks": place.pitch // line,
            "groups": place.groups,
            "in_base": place.base,
            "out_base": result.base + feature // line * result.groups,
            "out_chunks": result.pitch // line,
            "feature_base": feature,
            "grouped": int(op.group is not None),
            "pooled": int(source.cells is not None),
            "gain_selected": op.alpha,
            "gain_other": op.beta,
            "timing": int(op.timing is not None),
            "shift": op.shift,
            "limit": op.output.type.max,
            "pool_shift": pool.token_shift,
        }
        feature += place.pitch


def _attend(op: SparseAttention, plan: Plan) -> dict[str, int]:
    place, lanes = plan.layouts[op.output.name], plan.config.lanes
    to_tokens = place.memory is Memory.SPIKES
    pool = next(other for other in plan.graph.operations if isinstance(other, TokenPool))
    pitch = place.pitch // lanes
    return {
        "pitch": pitch,
        "chunks": pitch if op.heads == 1 else op.query.shape[1] // op.heads // lanes,
        "shift": op.shift,
        "to_tokens": int(to_tokens),
        "pool_shift": 0 if to_tokens else pool.attention_shift,
        "out_base": place.base,
    }
