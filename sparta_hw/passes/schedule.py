"""The schedule: which descriptors an operation becomes, in which order."""

from sparta_hw.descriptor import Op
from sparta_hw.ir import (
    FeedbackController,
    GatherTokens,
    Operation,
    PatchGroup,
    Projection,
    SparseAttention,
    SpikingConv,
    TokenGate,
    TokenPool,
    TokenScore,
    TopKTokens,
)

__all__ = ["descriptors_of", "op_of"]

_OPS: dict[type[Operation], Op] = {
    SpikingConv: Op.LAYER,
    TokenScore: Op.SCORE,
    PatchGroup: Op.RANK,
    TopKTokens: Op.RANK,
    TokenGate: Op.GATE,
    GatherTokens: Op.GATHER,
    Projection: Op.LAYER,
    SparseAttention: Op.ATTEND,
    TokenPool: Op.POOL,
    FeedbackController: Op.FEEDBACK,
}
"""Operations that have descriptors of their own; the others are fields of the next SCORE or RANK."""


def op_of(op: Operation) -> Op:
    """Kind of the descriptors of an operation that has some."""
    return _OPS[type(op)]


def descriptors_of(op: Operation) -> int:
    """How many descriptors the operation becomes: one a source of a gate."""
    if isinstance(op, TokenGate):
        return len(op.sources)
    return int(type(op) in _OPS)
