"""Scores, K and ranking: TokenMLP or Identity, DynamicK, TopKTokens, GatherTokens."""

from sparta_hw.config import CoreConfig
from sparta_hw.ir import (
    CentreSurround,
    DynamicK,
    FuseScores,
    GatherTokens,
    Kind,
    TokenGate,
    TokenMLP,
    TokenPriority,
    TopKTokens,
    Value,
)
from sparta_hw.numerics import FixedPoint, unsigned_bits
from sparta_hw.onnx_import.scope import NodeView
from sparta_hw.onnx_import.symbols import ChosenK, GatedRate, Result, Symbol, Zeros
from sparta_hw.onnx_import.token_inputs import k_input, mlp_inputs, token_count, token_value

__all__ = ["dynamic_k", "gather_tokens", "identity", "multiply", "token_mlp", "top_k_tokens"]

_SCORE = FixedPoint(CoreConfig.score_bits, CoreConfig.score_frac)
_K_ENTRIES = 256


def multiply(node: NodeView) -> tuple[Symbol, ...]:
    """``Mul`` of the MSP score by 0: no spatial score."""
    node.only_attributes()
    token_value(node, 0, "msp")
    factor = node.scalar(1, "the factor")
    node.require(factor == 0, f"multiplies by {factor}; only Mul(msp, 0), for no spatial score, is supported")
    node.settle()
    return (Zeros(),)


def identity(node: NodeView) -> tuple[Symbol, ...]:
    """``Identity`` of the MSP score: the score without fusion."""
    node.only_attributes()
    return _fuse(node, token_value(node, 0, "msp"), None, None, None)


def token_mlp(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::TokenMLP`` of three scores (fusion), or of two cues and the gated rate (priority)."""
    node.only_attributes("fracs", "hidden_shift", "shift", "frac")
    node.fixed_attribute("frac", None, CoreConfig.score_frac, "scores have that grid")
    mlp = mlp_inputs(node, 3)
    if isinstance(node.symbol(2), GatedRate):
        return _prioritise(node, mlp)
    _fixed_fracs(node, [CoreConfig.cue_frac, CoreConfig.score_frac, CoreConfig.score_frac])
    spatial = None if isinstance(node.symbol(0), Zeros) else node.result(0, CentreSurround)
    return _fuse(node, token_value(node, 1, "msp"), token_value(node, 2, "temporal"), spatial, mlp)


def _fixed_fracs(node: NodeView, expected: list[int]) -> None:
    found = list(node.attribute("fracs"))
    node.require(found == expected, f"fracs are {found}, the grids of its inputs are {expected}")


def _fuse(
    node: NodeView, msp: Value, temporal: Value | None, spatial: Value | None, mlp: TokenMLP | None
) -> tuple[Symbol, ...]:
    node.require(not node.scope.all(FuseScores), "makes a second score; tokens are selected by one")
    node.settle()
    output = Value(node.outputs[0], (token_count(node),), _SCORE)
    node.scope.operations.append(
        FuseScores(
            node=node.name,
            output=output,
            spatial=spatial,
            msp=msp,
            temporal=msp if temporal is None else temporal,
            group=node.scope.group,
            mlp=mlp,
        )
    )
    return (Result(output),)


def _prioritise(node: NodeView, mlp: TokenMLP) -> tuple[Symbol, ...]:
    _fixed_fracs(node, [CoreConfig.cue_frac] * 3)
    first, interval = (token_value(node, at, field) for at, field in enumerate(("first", "interval")))
    rate = node.read(2, GatedRate, "the gated rate")
    node.require(
        any(op.gain is rate.gain for op in node.scope.all(TokenGate)), "comes before the tokens are gated"
    )
    node.settle()
    output = Value(node.outputs[0], (token_count(node),), _SCORE)
    node.scope.operations.append(
        TokenPriority(
            node=node.name,
            output=output,
            first=first,
            interval=interval,
            rate=rate.rate,
            gain=rate.gain,
            group=node.scope.group,
            mlp=mlp,
        )
    )
    return (Result(output),)


def dynamic_k(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::DynamicK``: K of each sample, and the K that all that follows reads."""
    node.only_attributes("frac", "hidden_shift", "shift")
    node.fixed_attribute("frac", None, CoreConfig.cue_frac, "it must be the grid of the cues")
    mlp = mlp_inputs(node, 4)
    table = node.integers(8, "the table of K", (_K_ENTRIES,))
    first, interval, rate = (
        token_value(node, at, field) for at, field in enumerate(("first", "interval", "rate"))
    )
    tokens, scope = token_count(node), node.scope
    node.in_range(table, 1, tokens, "an entry of the table of K", f"the network has {tokens} tokens")
    default_k = int(node.scalar(3, "k (its default)"))
    node.in_range(
        default_k, 0, tokens, "the default of k", f"the network has {tokens} tokens; 0 is each sample's own"
    )
    node.require(not scope.k, f"comes after nodes that read K from {scope.k!r}; K is chosen once")
    node.require(len(node.outputs) == 2, f"{len(node.outputs)} results, not 2")
    node.settle()
    scope.default_k, scope.k = default_k, node.outputs[1]
    output = Value(node.outputs[0], (1,), FixedPoint(unsigned_bits(tokens), 0, signed=False))
    scope.operations.append(
        DynamicK(
            node=node.name,
            output=output,
            first=first,
            interval=interval,
            rate=rate,
            group=scope.group,
            mlp=mlp,
            table=table,
        )
    )
    return (Result(output), ChosenK())


def top_k_tokens(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::TopKTokens`` of the score or the priority."""
    node.only_attributes()
    score = node.result(0, FuseScores, TokenPriority)
    k_input(node, 1)
    node.settle()
    tokens = score.shape[0]
    number = FixedPoint(unsigned_bits(tokens - 1), 0, signed=False)
    ranks = node.scope.default_k or tokens
    output = Value(node.outputs[0], (ranks,), number, Kind.INDEX)
    node.scope.operations.append(TopKTokens(node=node.name, output=output, input=score))
    return (Result(output),)


def gather_tokens(node: NodeView) -> tuple[Symbol, ...]:
    """``sparta::GatherTokens``: the tokens that attend."""
    node.only_attributes()
    tokens = node.result(0, TokenGate)
    index = node.result(1, TopKTokens)
    node.settle()
    output = Value(node.outputs[0], (index.shape[0], tokens.shape[1]), tokens.type)
    node.scope.operations.append(GatherTokens(node=node.name, output=output, tokens=tokens, index=index))
    return (Result(output),)
